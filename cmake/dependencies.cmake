# Third-party code: an installed package where there is one, else the sources at a pinned commit through FetchContent.
# gradus_dependency(NAME) defines the target gradus_NAME. Without a network, point FETCHCONTENT_SOURCE_DIR_<NAME>
# (upper case) at sources that are already there.
include(FetchContent)

# git checks what it fetches against these ids.
set(gradus_repository_zlib https://github.com/madler/zlib.git)
set(gradus_commit_zlib 51b7f2abdade71cd9bb0e7a373ef2610ec6f9daf)  # 1.3.1
set(gradus_repository_stb https://github.com/nothings/stb.git)
set(gradus_commit_stb 8b5f1f37b5b75829fc72d38e7b5d4bcbf8a26d55)  # stb_image 2.27
set(gradus_repository_nlohmann_json https://github.com/nlohmann/json.git)
set(gradus_commit_nlohmann_json 9cca280a4d0ccf0c08f47a99aa71d1b0e52f8d03)  # 3.11.3
set(gradus_repository_cli11 https://github.com/CLIUtils/CLI11.git)
set(gradus_commit_cli11 6c7b07a878ad834957b98d0f9ce1dbe0cb204fc9)  # 2.4.2
set(gradus_repository_gtest https://github.com/google/googletest.git)
set(gradus_commit_gtest f8d7d77c06936315286eb55f8de22cd23c188571)  # 1.14.0
set(gradus_repository_benchmark https://github.com/google/benchmark.git)
set(gradus_commit_benchmark 344117638c8ff7e239044fd0fa7085839fc03021)  # 1.8.3

# Brings in the sources of `name` without running their CMake files and sets ${name}_SOURCE_DIR.
macro(gradus_fetch name)
  message(STATUS "gradus: ${name} from ${gradus_repository_${name}} at ${gradus_commit_${name}}")
  FetchContent_Declare(${name} GIT_REPOSITORY ${gradus_repository_${name}} GIT_TAG ${gradus_commit_${name}}
                       SOURCE_SUBDIR no-cmake-files-are-run)
  FetchContent_MakeAvailable(${name})
endmacro()

# Looks for an installed package; `ok` says whether it was found.
macro(gradus_find package ok)
  set(${ok} FALSE)
  if(NOT GRADUS_FORCE_FETCH)
    find_package(${package} QUIET)
    set(${ok} ${${package}_FOUND})
  endif()
endmacro()

macro(gradus_dependency name)
  cmake_language(CALL gradus_dependency_${name})
endmacro()

macro(gradus_dependency_zlib)
  add_library(gradus_zlib INTERFACE)
  gradus_find(ZLIB found)
  if(found)
    target_link_libraries(gradus_zlib INTERFACE ZLIB::ZLIB)
  else()
    gradus_fetch(zlib)
    enable_language(C)
    set(files adler32 compress crc32 deflate gzclose gzlib gzread gzwrite infback inffast inflate inftrees trees
        uncompr zutil)
    list(TRANSFORM files PREPEND ${zlib_SOURCE_DIR}/)
    list(TRANSFORM files APPEND .c)
    add_library(gradus_zlib_objects STATIC ${files})
    target_compile_definitions(gradus_zlib_objects PRIVATE HAVE_UNISTD_H)
    target_include_directories(gradus_zlib_objects SYSTEM PUBLIC ${zlib_SOURCE_DIR})
    target_link_libraries(gradus_zlib INTERFACE gradus_zlib_objects)
  endif()
endmacro()

macro(gradus_dependency_stb)
  add_library(gradus_stb INTERFACE)
  if(NOT GRADUS_FORCE_FETCH)
    find_path(GRADUS_STB_INCLUDE_DIR stb_image.h PATH_SUFFIXES stb)
  endif()
  if(GRADUS_STB_INCLUDE_DIR AND NOT GRADUS_FORCE_FETCH)
    target_include_directories(gradus_stb SYSTEM INTERFACE ${GRADUS_STB_INCLUDE_DIR})
  else()
    gradus_fetch(stb)
    target_include_directories(gradus_stb SYSTEM INTERFACE ${stb_SOURCE_DIR})
  endif()
endmacro()

macro(gradus_dependency_nlohmann_json)
  add_library(gradus_nlohmann_json INTERFACE)
  gradus_find(nlohmann_json found)
  if(found)
    target_link_libraries(gradus_nlohmann_json INTERFACE nlohmann_json::nlohmann_json)
  else()
    gradus_fetch(nlohmann_json)
    target_include_directories(gradus_nlohmann_json SYSTEM INTERFACE ${nlohmann_json_SOURCE_DIR}/include)
  endif()
endmacro()

macro(gradus_dependency_cli11)
  add_library(gradus_cli11 INTERFACE)
  gradus_find(CLI11 found)
  if(found)
    target_link_libraries(gradus_cli11 INTERFACE CLI11::CLI11)
  else()
    gradus_fetch(cli11)
    target_include_directories(gradus_cli11 SYSTEM INTERFACE ${cli11_SOURCE_DIR}/include)
  endif()
endmacro()

macro(gradus_dependency_gtest)
  add_library(gradus_gtest INTERFACE)
  gradus_find(GTest found)
  if(found)
    target_link_libraries(gradus_gtest INTERFACE GTest::gtest GTest::gtest_main)
  else()
    gradus_fetch(gtest)
    set(folder ${gtest_SOURCE_DIR}/googletest)
    add_library(gradus_gtest_objects STATIC ${folder}/src/gtest-all.cc ${folder}/src/gtest_main.cc)
    target_compile_features(gradus_gtest_objects PRIVATE cxx_std_14)
    target_include_directories(gradus_gtest_objects PRIVATE ${folder} SYSTEM PUBLIC ${folder}/include)
    target_link_libraries(gradus_gtest_objects PUBLIC Threads::Threads)
    target_link_libraries(gradus_gtest INTERFACE gradus_gtest_objects)
  endif()
endmacro()

macro(gradus_dependency_benchmark)
  add_library(gradus_benchmark INTERFACE)
  gradus_find(benchmark found)
  if(found)
    target_link_libraries(gradus_benchmark INTERFACE benchmark::benchmark benchmark::benchmark_main)
  else()
    gradus_fetch(benchmark)
    file(GLOB files ${benchmark_SOURCE_DIR}/src/*.cc)
    add_library(gradus_benchmark_objects STATIC ${files})
    target_compile_features(gradus_benchmark_objects PRIVATE cxx_std_14)
    target_compile_definitions(gradus_benchmark_objects PRIVATE HAVE_STD_REGEX HAVE_STEADY_CLOCK
                               PUBLIC BENCHMARK_STATIC_DEFINE)
    target_include_directories(gradus_benchmark_objects SYSTEM PUBLIC ${benchmark_SOURCE_DIR}/include)
    target_link_libraries(gradus_benchmark_objects PUBLIC Threads::Threads)
    target_link_libraries(gradus_benchmark INTERFACE gradus_benchmark_objects)
  endif()
endmacro()
