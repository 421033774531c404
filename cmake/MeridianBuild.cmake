# Settings that every target shares, and the functions with which tests, fuzz targets and benchmarks are declared.

option(MERIDIAN_TESTS "Build the tests" ON)
option(MERIDIAN_BENCH "Build the micro-benchmarks" ON)
option(MERIDIAN_CORE_ONLY "Build the core and its tests only" OFF)
option(MERIDIAN_WERROR "Warnings are errors (our presets set this)" OFF)
option(MERIDIAN_FUZZ "Build libFuzzer targets (needs clang)" OFF)
set(MERIDIAN_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# The presets of sanitizers compile files in batches (CMAKE_UNITY_BUILD), which takes a third less time; the release and
# clang presets show that each file stands for itself, tests aside.
set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

find_program(MERIDIAN_CCACHE ccache)
if(MERIDIAN_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${MERIDIAN_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MERIDIAN_CCACHE})
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow "$<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor;-Woverloaded-virtual>")
if(CMAKE_UNITY_BUILD)
  add_compile_options(-Wno-shadow)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
  endif()
endif()
if(MERIDIAN_WERROR)
  add_compile_options(-Werror)
endif()
if(MERIDIAN_SANITIZE)
  add_compile_options(-fsanitize=${MERIDIAN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # What g++ concludes from code that it has instrumented itself is wrong too often (GCC bug 105562 and its kind). The
    # release and clang presets have these warnings.
    add_compile_options(-Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow -Wno-restrict)
  endif()
  if(MERIDIAN_SANITIZE MATCHES "undefined")
    # These three double the time to compile, and what they find the address sanitizer or a crash shows as well.
    add_compile_options(-fno-sanitize=null,object-size,vptr)
  endif()
  add_link_options(-fsanitize=${MERIDIAN_SANITIZE})
endif()
if(MERIDIAN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)

add_custom_target(fuzzers)
add_custom_target(benches)

# meridian_add_test(NAME name SOURCES ... [LIBRARIES ...]): a CppUnit runner linked to the core, registered with ctest.
# Its ctest label is the name of its folder; the target tests-<folder> builds all runners of that folder.
function(meridian_add_test)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  target_link_libraries(${ARG_NAME} PRIVATE meridian-core meridian-test-main ${ARG_LIBRARIES})
  target_compile_definitions(${ARG_NAME} PRIVATE MERIDIAN_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data")
  if(MERIDIAN_SANITIZE MATCHES "undefined")
    # What is looked for is undefined behaviour of the product; in the tests' own code it costs a third of the time to
    # compile them.
    target_compile_options(${ARG_NAME} PRIVATE -fno-sanitize=undefined)
  endif()
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS ${folder})
  if(NOT TARGET tests-${folder})
    add_custom_target(tests-${folder})
  endif()
  add_dependencies(tests-${folder} ${ARG_NAME})
endfunction()

# meridian_add_fuzzer(NAME name SOURCES ... [LIBRARIES ...]): a libFuzzer target; built only in the fuzz preset, where the
# target fuzzers builds all of them. Its corpus, if any, is tests/fuzz/corpus/<name without fuzz_>.
function(meridian_add_fuzzer)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LIBRARIES" ${ARGN})
  if(MERIDIAN_FUZZ)
    add_executable(${ARG_NAME} ${ARG_SOURCES})
    target_link_libraries(${ARG_NAME} PRIVATE meridian-core ${ARG_LIBRARIES})
    target_link_options(${ARG_NAME} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    add_dependencies(fuzzers ${ARG_NAME})
  endif()
endfunction()

# meridian_add_bench(NAME name SOURCES ... [LIBRARIES ...]): a program under bench/ that prints figures; never a test.
# The target benches builds all of them.
function(meridian_add_bench)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SOURCES})
  target_link_libraries(${ARG_NAME} PRIVATE meridian-core ${ARG_LIBRARIES})
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
  add_dependencies(benches ${ARG_NAME})
endfunction()
