# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts in place beside libfathom, and the packages of `cpack`.
install(TARGETS fathom RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT fathom)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT fathom)
