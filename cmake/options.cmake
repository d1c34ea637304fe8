# SPDX-License-Identifier: Apache-2.0
option(HOURGLASS_APPS "Build the hourglass program" ON)
option(HOURGLASS_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(HOURGLASS_BENCHMARKS "Build the benchmarks" OFF)
option(HOURGLASS_WERROR "Warnings are errors" OFF)
option(HOURGLASS_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
set(HOURGLASS_ONEDNN AUTO CACHE STRING "oneDNN for float GEMM on the CPU: AUTO, ON or OFF")
set_property(CACHE HOURGLASS_ONEDNN PROPERTY STRINGS AUTO ON OFF)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O3")

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# Flags of our own code. -ffp-contract=off: fused multiply-add only where the source says so, so that every
# instruction-set clone and every compiler computes the same expression.
add_library(hourglass_flags INTERFACE)
target_compile_options(hourglass_flags INTERFACE -Wall -Wextra -Wconversion -Wno-sign-conversion
  -fno-math-errno -fno-trapping-math -ffp-contract=off)
if(HOURGLASS_WERROR)
  target_compile_options(hourglass_flags INTERFACE -Werror)
endif()
if(HOURGLASS_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(HOURGLASS_NO_CLONES)
endif()
target_include_directories(hourglass_flags INTERFACE ${PROJECT_SOURCE_DIR})
