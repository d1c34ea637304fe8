# SPDX-License-Identifier: Apache-2.0
option(HOURGLASS_APPS "Build the hourglass program" ON)
option(HOURGLASS_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(HOURGLASS_BENCHMARKS "Build the benchmarks" OFF)
option(HOURGLASS_INSTALL "Write install rules" ${PROJECT_IS_TOP_LEVEL})
option(HOURGLASS_WERROR "Warnings are errors" OFF)
option(HOURGLASS_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(HOURGLASS_SIMT_CHECK "With HOURGLASS_CUDA=EMULATED: the emulator's access checker" OFF)

# hourglass_choice(variable default help values...): a cache string that may only hold one of its values.
function(hourglass_choice variable default help)
  set(${variable} ${default} CACHE STRING "${help}: ${ARGN}")
  set_property(CACHE ${variable} PROPERTY STRINGS ${ARGN})
  if(NOT ${variable} IN_LIST ARGN)
    list(JOIN ARGN ", " values)
    message(FATAL_ERROR "${variable}: expected one of ${values}; got '${${variable}}'")
  endif()
endfunction()
hourglass_choice(HOURGLASS_ONEDNN AUTO "oneDNN for float GEMM on the CPU" AUTO ON OFF)
hourglass_choice(HOURGLASS_CUDA AUTO "CUDA device" AUTO ON OFF EMULATED)
option(HOURGLASS_PTXAS_VERBOSE "Print each kernel's registers and memory, for scripts/kernel-resources.sh" OFF)
option(HOURGLASS_KEEP_PTX "Keep nvcc's intermediate files in ptx/ of the build, for HOURGLASS_PTX_FROM of an emulated one" OFF)

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Without -DNDEBUG: an assert that guards a promise guards it in releases too.
set(CMAKE_CXX_FLAGS_RELEASE "-O3")

find_program(CCACHE ccache)
mark_as_advanced(CCACHE)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# Flags of our own code. -ffp-contract=off: fused multiply-add only where the source says so, so that every
# instruction-set clone and every compiler computes the same expression.
set(HOURGLASS_CODE_FLAGS -fno-math-errno -fno-trapping-math -ffp-contract=off)
add_library(hourglass_flags INTERFACE)
# -Wno-restrict: g++ 12 warns of std::string's own operator+ (GCC bug 105329).
set(flags -Wall -Wextra -Wconversion -Wno-sign-conversion $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    ${HOURGLASS_CODE_FLAGS})
if(HOURGLASS_WERROR)
  list(APPEND flags -Werror)
endif()
# What nvcc is told stands in cuda.cmake.
target_compile_options(hourglass_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${flags}>")
if(HOURGLASS_SANITIZE)
  # Without UBSan's checks of pointers that AddressSanitizer sees when they are used (null, object-size,
  # pointer-overflow, vptr): they are 40 % of the compile time of kernels.
  set(HOURGLASS_SANITIZE_FLAGS -fsanitize=address
    -fsanitize=alignment,bounds,shift,signed-integer-overflow,integer-divide-by-zero,bool,enum,return,builtin,vla-bound
    -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1)
  # g++ 12 takes the sanitizers' own code in std::regex for an uninitialised read (GCC bug 105562).
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${HOURGLASS_SANITIZE_FLAGS}>"
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
  add_link_options(-fsanitize=address,undefined)
  # One instruction-set level is enough to find faults, and compiles in a third of the time.
  add_compile_definitions(HOURGLASS_SANITIZED HOURGLASS_NO_CLONES)
endif()
if(HOURGLASS_SIMT_CHECK)
  if(NOT HOURGLASS_CUDA STREQUAL "EMULATED" OR HOURGLASS_SANITIZE)
    message(FATAL_ERROR "HOURGLASS_SIMT_CHECK needs HOURGLASS_CUDA=EMULATED, and HOURGLASS_SANITIZE=OFF")
  endif()
endif()
target_include_directories(hourglass_flags INTERFACE ${PROJECT_SOURCE_DIR})
