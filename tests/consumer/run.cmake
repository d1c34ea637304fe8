# SPDX-License-Identifier: Apache-2.0
# The consumer test: installs the development files of BUILD_DIR into a fresh prefix, configures, builds and runs the
# consumer against it in another folder, as a user would.
set(work ${BUILD_DIR}/tests/consumer-test)
file(REMOVE_RECURSE ${work})

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ECHO STDOUT RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "exit ${status} from: ${ARGV}")
  endif()
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${work}/prefix --component development)
run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${CMAKE_CURRENT_LIST_DIR} -B ${work}/build -DCMAKE_BUILD_TYPE=Debug
    -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_PREFIX_PATH=${work}/prefix)
run(${CMAKE_COMMAND} --build ${work}/build)
file(MAKE_DIRECTORY ${work}/run)
execute_process(COMMAND ${work}/build/consumer WORKING_DIRECTORY ${work}/run COMMAND_ECHO STDOUT
  COMMAND_ERROR_IS_FATAL ANY)
