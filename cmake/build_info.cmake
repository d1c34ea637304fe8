# SPDX-License-Identifier: Apache-2.0
# Gives the engine its version.cpp: see engine/version.h.
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
string(JOIN " " flags ${CMAKE_BUILD_TYPE} ${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${build_type}} ${HOURGLASS_CODE_FLAGS}
       ${HOURGLASS_SANITIZE_FLAGS})
string(REGEX REPLACE "[\"\\]" "" flags "${flags}")
if(HOURGLASS_HAS_ONEDNN)
  set(onednn ${OneDNN_VERSION})
else()
  set(onednn none)
endif()
if(HOURGLASS_CUDA_EMULATED)
  set(cuda emulated)
elseif(HOURGLASS_CUDA_KERNELS)
  set(cuda "nvcc ${CMAKE_CUDA_COMPILER_VERSION}")
else()
  set(cuda none)
endif()

set(version_source ${PROJECT_BINARY_DIR}/version.cpp)
add_custom_target(hourglass_version
  COMMAND ${CMAKE_COMMAND} -DINPUT=${PROJECT_SOURCE_DIR}/engine/version.cpp.in -DOUTPUT=${version_source}
          -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
          "-DCOMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}" "-DFLAGS=${flags}" "-DCUDA=${cuda}"
          -DONEDNN=${onednn}
          -P ${CMAKE_CURRENT_LIST_DIR}/version.cmake
  BYPRODUCTS ${version_source} COMMENT "" VERBATIM)
target_sources(hourglass_engine PRIVATE ${version_source})
