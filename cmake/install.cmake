# SPDX-License-Identifier: Apache-2.0
# Two components: `program` (the hourglass command) and `development` (libraries, headers, CMake package).
# Headers go to include/hourglass/{kernels,engine,models}, and that folder is the targets' include directory: the
# same #include "engine/tape.h" works in the source tree and against an installed Hourglass.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

foreach(part kernels engine models)
  set_target_properties(hourglass_${part} PROPERTIES EXPORT_NAME ${part})
  target_include_directories(hourglass_${part} INTERFACE
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/hourglass>)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${part} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hourglass
    COMPONENT development FILES_MATCHING PATTERN "*.h")
endforeach()
install(TARGETS hourglass_kernels hourglass_engine hourglass_models EXPORT hourglass
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/hourglass)
install(EXPORT hourglass NAMESPACE hourglass:: FILE hourglassTargets.cmake DESTINATION ${package}
  COMPONENT development)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/hourglassConfig.cmake.in
  ${PROJECT_BINARY_DIR}/hourglassConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/hourglassConfigVersion.cmake
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hourglassConfig.cmake ${PROJECT_BINARY_DIR}/hourglassConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/FindOneDNN.cmake DESTINATION ${package} COMPONENT development)

if(HOURGLASS_APPS AND TARGET hourglass)
  install(TARGETS hourglass RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
