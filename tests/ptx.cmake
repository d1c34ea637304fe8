# SPDX-License-Identifier: Apache-2.0
# The tests of CUDA kernels once more, in the emulator but on the PTX that nvcc makes of them (simt/ptx/module.h): the
# inline PTX of gpu.cuh and mma.cuh is held to the same references as the C++ beside it, and nvcc's code to ours. Only in
# the plain flavour of the emulator. Without nvcc 12.4 or newer test_ptx_kernels is skipped, and says why.
if(HOURGLASS_SIMT_CHECK OR HOURGLASS_SANITIZE)
  return()
endif()
hourglass_find_nvcc(nvcc version problem)
if(nvcc AND NOT problem)
  hourglass_try_nvcc(${nvcc} problem)
  string(REPLACE "\"" "'" problem "${problem}")
endif()
set(ptx_folder ${PROJECT_BINARY_DIR}/ptx)
set(HOURGLASS_PTX_FROM "" CACHE PATH "Folder ptx/ of a build with HOURGLASS_KEEP_PTX: the kernels' PTX; else nvcc makes it")
mark_as_advanced(HOURGLASS_PTX_FROM)

add_executable(test_ptx_kernels test_ptx_kernels.cpp)
target_link_libraries(test_ptx_kernels PRIVATE hourglass_flags hourglass_simt GTest::gtest_main)
target_compile_definitions(test_ptx_kernels PRIVATE HOURGLASS_PTX_PROBLEM="${problem}"
  HOURGLASS_PTX_FOLDER="${ptx_folder}" HOURGLASS_PTX_TESTS="${CMAKE_CURRENT_BINARY_DIR}"
  HOURGLASS_PTX_OF_BOTH=$<BOOL:${HOURGLASS_PTX_FROM}>)
add_test(NAME ptx_kernels COMMAND test_ptx_kernels)
set_tests_properties(ptx_kernels PROPERTIES LABELS cuda SKIP_REGULAR_EXPRESSION "is not tested"
  FIXTURES_REQUIRED ptx_runs)
foreach(target all_tests cuda_tests)
  add_dependencies(${target} test_ptx_kernels)
endforeach()
if(problem)
  message(STATUS "Hourglass: no tests of the kernels' PTX: ${problem}")
  return()
endif()

# hourglass_ptx(folder architecture sources...): the PTX of .cu files, in ptx_folder/<folder>; ptx_files collects it.
set(ptx_files "")
function(hourglass_ptx folder architecture)
  file(MAKE_DIRECTORY ${ptx_folder}/${folder})
  foreach(source IN LISTS ARGN)
    get_filename_component(name ${source} NAME_WE)
    set(ptx ${ptx_folder}/${folder}/${name}.ptx)
    set(kept ${HOURGLASS_PTX_FROM}/${name}.compute_${architecture}.ptx)
    if(HOURGLASS_PTX_FROM AND folder MATCHES "kernels")
      add_custom_command(OUTPUT ${ptx} COMMAND ${CMAKE_COMMAND} -E copy ${kept} ${ptx} DEPENDS ${kept} VERBATIM)
    else()
      add_custom_command(OUTPUT ${ptx}
        COMMAND ${nvcc} -std=c++20 -O3 --expt-relaxed-constexpr -lineinfo -ptx -arch=compute_${architecture}
                -I${PROJECT_SOURCE_DIR} -MD -MF ${ptx}.d -MT ${ptx} -o ${ptx} ${source}
        DEPENDS ${source} DEPFILE ${ptx}.d COMMENT "PTX of ${name} for compute_${architecture}" VERBATIM)
    endif()
    list(APPEND ptx_files ${ptx})
  endforeach()
  set(ptx_files ${ptx_files} PARENT_SCOPE)
endfunction()

get_target_property(kernel_sources hourglass_kernels SOURCES)
list(FILTER kernel_sources INCLUDE REGEX "^[a-z0-9_]+\\.cu$")
# Not what is made for sm_90a alone: the interpreter does not know wgmma, mbarriers and bulk copies, and for compute_80,
# which is what runs, those kernels trap. The tests of PTX leave them out, since the card is then one of 8.0.
list(FILTER kernel_sources EXCLUDE REGEX "_wgmma\\.cu$")
list(TRANSFORM kernel_sources PREPEND ${PROJECT_SOURCE_DIR}/kernels/)
set(wrapper_sources ${CMAKE_CURRENT_SOURCE_DIR}/test_gpu.cu ${CMAKE_CURRENT_SOURCE_DIR}/test_mma.cu
  ${CMAKE_CURRENT_SOURCE_DIR}/test_execution.cu)
hourglass_ptx(wrappers_80 80 ${wrapper_sources})
hourglass_ptx(wrappers_90a 90a ${wrapper_sources})
hourglass_ptx(kernels 80 ${kernel_sources})
if(HOURGLASS_PTX_FROM)  # test_ptx_kernels holds the two to each other
  hourglass_ptx(kernels_90a 90a ${kernel_sources})
endif()
add_custom_target(ptx DEPENDS ${ptx_files})
foreach(target all_tests cuda_tests)
  add_dependencies(${target} ptx)
endforeach()

# hourglass_ptx_test(name folder filter): test_<name> on the PTX in ptx_folder/<folder>.
function(hourglass_ptx_test name folder filter)
  set(test ptx_${name})
  if(NOT folder STREQUAL "kernels")
    set(test ptx_${folder}_${name})
  endif()
  add_test(NAME ${test} COMMAND test_${name} --gtest_filter=${filter})
  set_tests_properties(${test} PROPERTIES LABELS cuda TIMEOUT ${HOURGLASS_TEST_TIMEOUT} FIXTURES_SETUP ptx_runs
    ENVIRONMENT "HOURGLASS_SIMT_PTX=${ptx_folder}/${folder};HOURGLASS_SIMT_PTX_LOG=${ptx_folder}/${folder}/${name}.log")
endfunction()
foreach(architecture 80 90a)
  hourglass_ptx_test(gpu wrappers_${architecture} *)
  hourglass_ptx_test(execution wrappers_${architecture} *)
  # Not those that plant faults, which only the emulator compiles.
  hourglass_ptx_test(mma wrappers_${architecture} -*CopiesNeedAWait*:*AWarpMultiplies*)
endforeach()
foreach(name activation batch batch_norm bernoulli_nll cast codebook_ema columns conv2d conv2d_epilogue corrupt
    discretized_logistic elementwise fill gaussian_head gaussian_kl gaussian_latent gaussian_nll gradient_norm group_norm
    kmeans linear linear_bce nearest_codebook optimal_gaussian optimizer pool2d reparameterize row_reduce squared_error
    step_state upsample2d vector_quantize)
  hourglass_ptx_test(${name}_cuda kernels *)
endforeach()
# The other tests of whole steps repeat what one has run, on grids that the interpreter does not have.
hourglass_ptx_test(vae_step_cuda kernels *IsTheStepOfTheTape*)
# Where cuBLASLt cannot be opened, those repeat the products of other tests.
hourglass_ptx_test(gemm_cuda kernels -*Library*)
