# See CMakeLists.txt.
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ECHO STDOUT RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "failed: ${ARGV}")
  endif()
endfunction()

file(REMOVE_RECURSE ${PREFIX} ${BINARY})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX} --component development)
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${BINARY} -G ${GENERATOR} -D CMAKE_BUILD_TYPE=${BUILD_TYPE} -D CMAKE_PREFIX_PATH=${PREFIX}
  "-DSANITIZERS=${SANITIZERS}")
run(${CMAKE_COMMAND} --build ${BINARY})
run(${BINARY}/${PROGRAM})
