# SPDX-License-Identifier: Apache-2.0
# Decides what compiles kernels/*.cu:
#   HOURGLASS_CUDA=ON        nvcc 12.4 or newer; stops where there is none
#   HOURGLASS_CUDA=AUTO      nvcc if it is there and can be used; says in one line why not, and builds for the CPU
#   HOURGLASS_CUDA=EMULATED  the C++ compiler, against the emulator in tests/simt: runs the kernels on the CPU, for tests
#   HOURGLASS_CUDA=OFF       nothing
# and sets HOURGLASS_CUDA_KERNELS and HOURGLASS_CUDA_EMULATED.
set(HOURGLASS_CUDA_KERNELS OFF)
set(HOURGLASS_CUDA_EMULATED OFF)
set(HOURGLASS_NVCC_MINIMUM 12.4)

# hourglass_find_nvcc(nvcc version problem): nvcc of CUDACXX, else in PATH, in CUDA_HOME or in NVIDIA's default prefix;
# why it cannot be used, in a few words, else nothing. No nvcc at all: `nvcc` is empty.
function(hourglass_find_nvcc nvcc version problem)
  if(CMAKE_CUDA_COMPILER)
    set(found ${CMAKE_CUDA_COMPILER})
  elseif(NOT "$ENV{CUDACXX}" STREQUAL "")
    set(found $ENV{CUDACXX})
  else()
    find_program(HOURGLASS_NVCC nvcc PATHS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin
      NO_CMAKE_SYSTEM_PATH)
    mark_as_advanced(HOURGLASS_NVCC)
    set(found ${HOURGLASS_NVCC})
  endif()
  set(release "")
  set(why "")
  if(NOT found)
    set(found "")
    set(why "no nvcc in CUDACXX, PATH, CUDA_HOME or /usr/local/cuda")
  else()
    execute_process(COMMAND ${found} --version OUTPUT_VARIABLE text ERROR_QUIET RESULT_VARIABLE failed)
    if(failed OR NOT text MATCHES "release ([0-9]+\\.[0-9]+)")
      set(why "${found} does not say its version")
    else()
      set(release ${CMAKE_MATCH_1})
      if(release VERSION_LESS HOURGLASS_NVCC_MINIMUM)
        set(why "${found} is version ${release}, and Hourglass needs ${HOURGLASS_NVCC_MINIMUM} or newer")
      endif()
    endif()
  endif()
  set(${nvcc} "${found}" PARENT_SCOPE)
  set(${version} "${release}" PARENT_SCOPE)
  set(${problem} "${why}" PARENT_SCOPE)
endfunction()

# hourglass_try_nvcc(nvcc problem): builds an empty program. An nvcc refuses C++ compilers newer than itself, and a
# toolkit may have come without its runtime library: CMake would stop the build at the first of these.
function(hourglass_try_nvcc nvcc problem)
  set(folder ${PROJECT_BINARY_DIR}/CMakeFiles/try_nvcc)
  file(WRITE ${folder}/empty.cu "__global__ void kernel() {}\nint main() { kernel<<<1, 1>>>(); }\n")
  set(host "")
  if(CMAKE_CUDA_HOST_COMPILER)
    set(host -ccbin ${CMAKE_CUDA_HOST_COMPILER})
  elseif(NOT "$ENV{CUDAHOSTCXX}" STREQUAL "")
    set(host -ccbin $ENV{CUDAHOSTCXX})
  endif()
  execute_process(COMMAND ${nvcc} ${host} -std=c++20 -arch=sm_80 empty.cu -o empty WORKING_DIRECTORY ${folder}
    OUTPUT_VARIABLE text ERROR_VARIABLE text RESULT_VARIABLE failed)
  set(why "")
  if(failed)
    string(REGEX MATCH "[^\n]*error[^\n]*" line "${text}")
    set(why "${nvcc} cannot build a program: ${line}")
  endif()
  set(${problem} "${why}" PARENT_SCOPE)
endfunction()

set(with_nvcc OFF)
if(HOURGLASS_CUDA STREQUAL "EMULATED")
  set(HOURGLASS_CUDA_KERNELS ON)
  set(HOURGLASS_CUDA_EMULATED ON)
  set(HOURGLASS_INSTALL OFF)  # an emulated build is for tests
  message(STATUS "Hourglass: CUDA kernels run in the emulator (HOURGLASS_CUDA=EMULATED)")
elseif(HOURGLASS_CUDA STREQUAL "ON")
  hourglass_find_nvcc(nvcc version problem)
  if(problem)
    message(FATAL_ERROR "HOURGLASS_CUDA=ON: ${problem}; use AUTO or OFF to build for the CPU")
  endif()
  set(with_nvcc ON)
elseif(HOURGLASS_CUDA STREQUAL "AUTO")
  hourglass_find_nvcc(nvcc version problem)
  if(nvcc AND NOT problem AND NOT CMAKE_CUDA_COMPILER)
    hourglass_try_nvcc(${nvcc} problem)
  endif()
  if(NOT nvcc)
    message(STATUS "Hourglass: ${problem}: builds for the CPU")
  elseif(problem)
    message(NOTICE "Hourglass: ${problem}: builds for the CPU")
  else()
    set(with_nvcc ON)
  endif()
endif()

if(with_nvcc)
  set(CMAKE_CUDA_COMPILER ${nvcc})
  # Code for A100 (sm_80) and H100 (sm_90a), and PTX for the cards after them. Set before the language is enabled:
  # the default asks the machine's own card.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual)
  endif()
  message(STATUS "Hourglass: CUDA kernels by nvcc ${version} for ${CMAKE_CUDA_ARCHITECTURES}")
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
endif()

# hourglass_cuda_sources(target sources...): adds .cu files to a target, for whichever compiler the build chose, and
# nothing where there is no CUDA.
function(hourglass_cuda_sources target)
  if(NOT HOURGLASS_CUDA_KERNELS)
    return()
  endif()
  target_sources(${target} PRIVATE ${ARGN})
  if(HOURGLASS_CUDA_EMULATED)
    # -Wno-unused-variable: what only an unroll pragma reads. -Wno-psabi: tensor maps, aligned to 64, by value.
    # -fno-ipa-icf: each kernel has an address of its own.
    set(flags -Wno-unknown-pragmas -Wno-unused-variable -Wno-psabi -fno-strict-aliasing -fno-ipa-icf -ftls-model=initial-exec)
    if(HOURGLASS_SANITIZE)
      list(APPEND flags ${HOURGLASS_SANITIZE_FLAGS})
    elseif(HOURGLASS_SIMT_CHECK)
      # The compiler announces every access; the emulator listens (tests/simt/checker.h), and libtsan is not linked.
      # -fno-tree-sra, -fno-ipa-sra: it must not split or move an access before it is announced.
      list(APPEND flags -O1 -g1 -fsanitize=thread --param=tsan-instrument-func-entry-exit=0 -fno-tree-sra -fno-ipa-sra)
    else()
      list(APPEND flags -O2)  # compiles in half the time of -O3
    endif()
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "${flags}")
  else()
    # --expt-relaxed-constexpr: std::bit_cast and std::numeric_limits in kernels. The code flags are those of the C++
    # files that concern host code.
    set(flags -lineinfo --expt-relaxed-constexpr -Xptxas=-warn-spills,-warn-lmem-usage
      -Xcompiler=-Wall,-Wextra,-fno-math-errno,-fno-trapping-math)
    if(HOURGLASS_WERROR)
      list(APPEND flags "SHELL:-Werror all-warnings")
    endif()
    if(HOURGLASS_PTXAS_VERBOSE)
      list(APPEND flags -Xptxas=-v)
    endif()
    if(HOURGLASS_KEEP_PTX)
      file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/ptx)
      list(APPEND flags --keep "SHELL:--keep-dir ${PROJECT_BINARY_DIR}/ptx")
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

# cuDNN, the rival and the oracle of our convolutions: in builds by nvcc, where it is found.
if(with_nvcc)
  find_path(HOURGLASS_CUDNN_INCLUDE cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(HOURGLASS_CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 HINTS ${CUDAToolkit_LIBRARY_DIR})
  mark_as_advanced(HOURGLASS_CUDNN_INCLUDE HOURGLASS_CUDNN_LIBRARY)
  if(HOURGLASS_CUDNN_INCLUDE AND HOURGLASS_CUDNN_LIBRARY)
    message(STATUS "Hourglass: cuDNN beside our convolutions in tests and benchmarks, from ${HOURGLASS_CUDNN_LIBRARY}")
  endif()
endif()

# hourglass_use_cudnn(target): benchmarks/cudnn_conv2d.h for a test or a benchmark, which HOURGLASS_HAS_CUDNN tells so;
# nothing where there is no cuDNN. No part of the program.
function(hourglass_use_cudnn target)
  if(NOT HOURGLASS_CUDNN_INCLUDE OR NOT HOURGLASS_CUDNN_LIBRARY OR NOT with_nvcc)
    return()
  endif()
  target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/benchmarks/cudnn_conv2d.cpp
    ${PROJECT_SOURCE_DIR}/benchmarks/cudnn_engines.cpp)
  target_compile_definitions(${target} PRIVATE HOURGLASS_HAS_CUDNN)
  target_include_directories(${target} SYSTEM PRIVATE ${HOURGLASS_CUDNN_INCLUDE})
  target_link_libraries(${target} PRIVATE ${HOURGLASS_CUDNN_LIBRARY})
endfunction()
