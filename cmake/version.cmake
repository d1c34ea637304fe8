# SPDX-License-Identifier: Apache-2.0
# Run at every build (cmake -P): writes OUTPUT from INPUT with the commit of the sources, and touches it only when
# the text changes, so that nothing is rebuilt in between.
set(HOURGLASS_COMMIT "unknown")
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE_DIR}/.git)
  execute_process(COMMAND ${GIT} -C ${SOURCE_DIR} describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(HOURGLASS_COMMIT ${commit})
  endif()
endif()
configure_file(${INPUT} ${OUTPUT} @ONLY)
