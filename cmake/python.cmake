# SPDX-License-Identifier: Apache-2.0
# The Python package, FATHOM_PYTHON: the module behind python/fathom, its stubs, the program and the
# licences of what a wheel bundles. `pip install .` comes here by pyproject.toml; scripts/test.sh
# builds the same with the rest and installs the component "python" into its virtual environment.
if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.26)
  set(stable_abi ${SKBUILD_SABI_COMPONENT})
endif()
find_package(Python 3.10 COMPONENTS Interpreter Development.Module ${stable_abi} REQUIRED)
execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
  OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE nanobind_ROOT COMMAND_ERROR_IS_FATAL ANY)
find_package(nanobind CONFIG REQUIRED)

file(GLOB python_sources CONFIGURE_DEPENDS python/src/*.cc)
# CPython 3.12 and later share one module by the stable ABI.
nanobind_add_module(_fathom STABLE_ABI NB_STATIC NB_SUPPRESS_WARNINGS ${python_sources})
target_compile_features(_fathom PRIVATE cxx_std_20)
target_link_libraries(_fathom PRIVATE fathom_api fathom_results fathom_study fathom_report fmt::fmt)
# Debug information of two copies of the engine would be most of a wheel.
if(DEFINED SKBUILD)
  target_link_options(fathom PRIVATE -s)
endif()

nanobind_add_stub(_fathom_stub MODULE _fathom OUTPUT ${PROJECT_BINARY_DIR}/_fathom.pyi
  PYTHON_PATH $<TARGET_FILE_DIR:_fathom> DEPENDS _fathom)

# EXCLUDE_FROM_ALL: a plain `cmake --install` installs no Python package.
set(as_python COMPONENT python EXCLUDE_FROM_ALL)
install(TARGETS _fathom LIBRARY DESTINATION fathom ${as_python})
install(TARGETS fathom RUNTIME DESTINATION fathom/bin ${as_python})
install(FILES ${PROJECT_BINARY_DIR}/_fathom.pyi DESTINATION fathom ${as_python})
install(DIRECTORY python/fathom DESTINATION . ${as_python}
  PATTERN __pycache__ EXCLUDE PATTERN *.pyc EXCLUDE)
install(FILES LICENSE DESTINATION fathom/licenses RENAME fathom ${as_python})

# Debian keeps the licence of each package in one place.
foreach(package libdnnl2 libdnnl3 libgomp1 libhwy1 libhwy1t64 liblzma5 zlib1g libzstd1 libutf8proc2
    libutf8proc3 libxxhash0 liblinear4 libblas3 liblbfgs0 libgfortran5 libquadmath0 libfmt9 libfmt10
    libeigen3-dev nlohmann-json3-dev libcli11-dev libboost1.74-dev libboost1.83-dev libspdlog-dev
    libtomlplusplus-dev)
  set(text /usr/share/doc/${package}/copyright)
  if(EXISTS ${text})
    file(REAL_PATH ${text} text)
    install(FILES ${text} DESTINATION fathom/licenses RENAME ${package} ${as_python})
  endif()
endforeach()
install(FILES ${NB_DIR}/../nanobind/LICENSE DESTINATION fathom/licenses RENAME nanobind OPTIONAL ${as_python})
