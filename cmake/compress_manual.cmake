# SPDX-License-Identifier: Apache-2.0
# Before a package is made: manual pages compressed, as Debian has them, with no time in them.
file(GLOB_RECURSE pages ${CPACK_TEMPORARY_DIRECTORY}/*/man/man1/*.1)
foreach(page ${pages})
  execute_process(COMMAND gzip -9nf ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
