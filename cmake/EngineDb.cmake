# How everything here is compiled, and the functions that declare libraries, programs and tests.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
include(GNUInstallDirs)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# Nearly all of the compile time is the reading of headers, most of them the same. For those who only use the programs, the files of a target are
# compiled as one. A developer's build goes file by file, so that each is held to include what it needs, and a change compiles little.
if(NOT ENGINE_DB_DEVELOPER)
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 0)
endif()

# -O3 gains nothing measurable here and costs a third of the compile time.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

if(ENGINE_DB_SANITIZERS)
  add_compile_options(-fsanitize=${ENGINE_DB_SANITIZERS} -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=${ENGINE_DB_SANITIZERS})
  if(ENGINE_DB_SANITIZERS MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

# For developers only: a newer compiler or library may warn of more, and files that are compiled as one shadow each other's names.
add_library(engine_db_warnings INTERFACE)
if(ENGINE_DB_DEVELOPER)
  target_compile_options(engine_db_warnings INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
  if(NOT ENGINE_DB_SANITIZERS MATCHES "fuzzer")  # whatever version of clang there is: its warnings are no reason not to fuzz
    target_compile_options(engine_db_warnings INTERFACE -Werror)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # False alarms: on std::string (GCC bug 105651, until 13), on abseil's InlinedVector and on a std::variant with a std::string in it (14 too).
    if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      target_compile_options(engine_db_warnings INTERFACE -Wno-restrict)
    endif()
    target_compile_options(engine_db_warnings INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
target_include_directories(engine_db_warnings INTERFACE ${PROJECT_SOURCE_DIR})

# engine_db_library(NAME SOURCES … PUBLIC_DEPENDS … PRIVATE_DEPENDS …): a static library that links only what it names, so that an include from a
# layer above does not link. PUBLIC_DEPENDS are those that its headers include.
function(engine_db_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC_DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_PUBLIC_DEPENDS}
    PRIVATE ${ARG_PRIVATE_DEPENDS} $<BUILD_INTERFACE:engine_db_warnings>)
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
endfunction()

# engine_db_program(NAME SOURCES … DEPENDS …): a program in build/bin.
function(engine_db_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} engine_db_warnings)
endfunction()

add_custom_target(unit_tests)

# engine_db_test(NAME LABEL unit|integration|… SOURCES … DEPENDS …): a GoogleTest program, run by ctest as one test.
function(engine_db_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;DEPENDS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} engine_db_warnings GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
  if(ARG_LABEL STREQUAL "unit")
    add_dependencies(unit_tests ${name})
  endif()
endfunction()
