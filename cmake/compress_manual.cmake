# SPDX-License-Identifier: Apache-2.0
# Before a package is made: manual pages compressed, as Debian has them, with no time in them.
file(GLOB_RECURSE files ${CPACK_TEMPORARY_DIRECTORY}/*.1)
foreach(page ${files})
  if(page MATCHES "/man/man1/")
    execute_process(COMMAND gzip -9nf ${page} COMMAND_ERROR_IS_FATAL ANY)
  endif()
endforeach()
