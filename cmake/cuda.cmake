# SPDX-License-Identifier: Apache-2.0
# Decides what compiles kernels/*.cu:
#   HOURGLASS_CUDA=ON        nvcc 12.4 or newer
#   HOURGLASS_CUDA=EMULATED  the C++ compiler, against the emulator in tests/simt: runs the kernels on the CPU, for tests
#   HOURGLASS_CUDA=OFF       nothing
#   HOURGLASS_CUDA=AUTO      nothing yet: the engine has no CUDA device
# and sets HOURGLASS_CUDA_KERNELS and HOURGLASS_CUDA_EMULATED.
set(HOURGLASS_CUDA_KERNELS OFF)
set(HOURGLASS_CUDA_EMULATED OFF)
set(HOURGLASS_NVCC_MINIMUM 12.4)

# hourglass_find_nvcc(path version): nvcc in CUDACXX, PATH, CUDA_HOME or NVIDIA's default prefix; empty if there is none.
function(hourglass_find_nvcc path version)
  if(CMAKE_CUDA_COMPILER)
    set(nvcc ${CMAKE_CUDA_COMPILER})
  elseif(DEFINED ENV{CUDACXX})
    set(nvcc $ENV{CUDACXX})
  else()
    find_program(HOURGLASS_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin PATHS /usr/local/cuda/bin)
    mark_as_advanced(HOURGLASS_NVCC)
    set(nvcc ${HOURGLASS_NVCC})
  endif()
  set(found "")
  if(nvcc)
    execute_process(COMMAND ${nvcc} --version OUTPUT_VARIABLE text ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed AND text MATCHES "release ([0-9]+\\.[0-9]+)")
      set(found ${CMAKE_MATCH_1})
    endif()
  endif()
  set(${path} "${nvcc}" PARENT_SCOPE)
  set(${version} "${found}" PARENT_SCOPE)
endfunction()

if(HOURGLASS_CUDA STREQUAL "EMULATED")
  set(HOURGLASS_CUDA_KERNELS ON)
  set(HOURGLASS_CUDA_EMULATED ON)
  set(HOURGLASS_INSTALL OFF)  # an emulated build is for tests
  message(STATUS "Hourglass: CUDA kernels run in the emulator (HOURGLASS_CUDA=EMULATED)")
elseif(HOURGLASS_CUDA STREQUAL "ON")
  hourglass_find_nvcc(nvcc version)
  if(NOT version)
    message(FATAL_ERROR "HOURGLASS_CUDA=ON: no nvcc in CUDACXX, PATH, CUDA_HOME or /usr/local/cuda; use AUTO or OFF")
  elseif(version VERSION_LESS HOURGLASS_NVCC_MINIMUM)
    message(FATAL_ERROR "HOURGLASS_CUDA=ON: ${nvcc} is version ${version}; Hourglass needs ${HOURGLASS_NVCC_MINIMUM}")
  endif()
  set(CMAKE_CUDA_COMPILER ${nvcc})
  # Code for A100 (sm_80) and H100 (sm_90a), and PTX for the cards after them. Set before the language is enabled:
  # the default asks the machine's own card.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual)
  endif()
  enable_language(CUDA)
  # CMake 3.25.1 (Debian 12) does not know that nvcc 12 and 13 speak C++20.
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  set(CMAKE_CUDA_FLAGS_RELEASE "-O3")
  find_package(CUDAToolkit REQUIRED)
  set(HOURGLASS_CUDA_KERNELS ON)
  message(STATUS "Hourglass: CUDA kernels by nvcc ${version} for ${CMAKE_CUDA_ARCHITECTURES}")
elseif(HOURGLASS_CUDA STREQUAL "AUTO")
  message(STATUS "Hourglass: CUDA is not in this version: builds for the CPU")
endif()

# hourglass_cuda_sources(target sources...): adds .cu files to a target, for whichever compiler the build chose, and
# nothing where there is no CUDA.
function(hourglass_cuda_sources target)
  if(NOT HOURGLASS_CUDA_KERNELS)
    return()
  endif()
  target_sources(${target} PRIVATE ${ARGN})
  if(HOURGLASS_CUDA_EMULATED)
    # -Wno-unused-variable: what only an unroll pragma reads. -fno-ipa-icf: each kernel has an address of its own.
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX
      COMPILE_OPTIONS "-Wno-unknown-pragmas;-Wno-unused-variable;-fno-strict-aliasing;-fno-ipa-icf;-ftls-model=initial-exec")
  else()
    # --expt-relaxed-constexpr: std::bit_cast and std::numeric_limits in kernels. The code flags are those of the C++
    # files that concern host code.
    set(flags -lineinfo --expt-relaxed-constexpr -Xptxas=-warn-spills,-warn-lmem-usage
      -Xcompiler=-Wall,-Wextra,-fno-math-errno,-fno-trapping-math)
    if(HOURGLASS_WERROR)
      list(APPEND flags "SHELL:-Werror all-warnings")
    endif()
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${flags}>")
  endif()
endfunction()

# hourglass_link_cuda(target): gives a library the CUDA runtime, and everything above it the definitions
# HOURGLASS_CUDA_KERNELS and HOURGLASS_CUDA_EMULATED. The runtime is linked statically: the program starts without toolkit
# and without driver.
function(hourglass_link_cuda target)
  if(NOT HOURGLASS_CUDA_KERNELS)
    return()
  endif()
  target_compile_definitions(${target} PUBLIC HOURGLASS_CUDA_KERNELS)
  if(HOURGLASS_CUDA_EMULATED)
    target_compile_definitions(${target} PUBLIC HOURGLASS_CUDA_EMULATED)
    target_link_libraries(${target} PUBLIC $<BUILD_INTERFACE:hourglass_simt>)
  else()
    target_link_libraries(${target} PUBLIC CUDA::cudart_static)
  endif()
endfunction()
