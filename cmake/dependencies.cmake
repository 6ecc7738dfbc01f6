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
set(gradus_repository_utf8proc https://github.com/JuliaStrings/utf8proc.git)
set(gradus_commit_utf8proc 34db3f7954e9298e89f42641ac78e0450f80a70d)  # 2.9.0
set(gradus_repository_cli11 https://github.com/CLIUtils/CLI11.git)
set(gradus_commit_cli11 6c7b07a878ad834957b98d0f9ce1dbe0cb204fc9)  # 2.4.2
set(gradus_repository_gtest https://github.com/google/googletest.git)
set(gradus_commit_gtest f8d7d77c06936315286eb55f8de22cd23c188571)  # 1.14.0
set(gradus_repository_benchmark https://github.com/google/benchmark.git)
set(gradus_commit_benchmark 344117638c8ff7e239044fd0fa7085839fc03021)  # 1.8.3

# What is installed: a package, and the targets it defines. stb is headers, and utf8proc a library, that no package
# describes.
set(gradus_installed_zlib ZLIB ZLIB::ZLIB)
set(gradus_installed_nlohmann_json nlohmann_json nlohmann_json::nlohmann_json)
set(gradus_installed_cli11 CLI11 CLI11::CLI11)
set(gradus_installed_gtest GTest GTest::gtest GTest::gtest_main)
set(gradus_installed_benchmark benchmark benchmark::benchmark benchmark::benchmark_main)

macro(gradus_dependency name)
  add_library(gradus_${name} INTERFACE)
  set(found FALSE)
  if(NOT GRADUS_FORCE_FETCH AND "${name}" STREQUAL "stb")
    find_path(GRADUS_STB_INCLUDE_DIR stb_image.h PATH_SUFFIXES stb)
    if(GRADUS_STB_INCLUDE_DIR)
      set(found TRUE)
      target_include_directories(gradus_stb SYSTEM INTERFACE ${GRADUS_STB_INCLUDE_DIR})
    endif()
  elseif(NOT GRADUS_FORCE_FETCH AND "${name}" STREQUAL "utf8proc")
    find_path(GRADUS_UTF8PROC_INCLUDE_DIR utf8proc.h)
    find_library(GRADUS_UTF8PROC_LIBRARY utf8proc)
    if(GRADUS_UTF8PROC_INCLUDE_DIR AND GRADUS_UTF8PROC_LIBRARY)
      set(found TRUE)
      target_include_directories(gradus_utf8proc SYSTEM INTERFACE ${GRADUS_UTF8PROC_INCLUDE_DIR})
      target_link_libraries(gradus_utf8proc INTERFACE ${GRADUS_UTF8PROC_LIBRARY})
    endif()
  elseif(NOT GRADUS_FORCE_FETCH)
    set(targets ${gradus_installed_${name}})
    list(POP_FRONT targets package)
    find_package(${package} QUIET)
    set(found ${${package}_FOUND})
    if(found)
      target_link_libraries(gradus_${name} INTERFACE ${targets})
    endif()
  endif()
  if(NOT found)
    # The sources alone; their own CMake files are not run.
    message(STATUS "gradus: ${name} from ${gradus_repository_${name}} at ${gradus_commit_${name}}")
    FetchContent_Declare(${name} GIT_REPOSITORY ${gradus_repository_${name}} GIT_TAG ${gradus_commit_${name}}
                         SOURCE_SUBDIR no-cmake-files-are-run)
    FetchContent_MakeAvailable(${name})
    cmake_language(CALL gradus_build_${name} ${${name}_SOURCE_DIR})
  endif()
endmacro()

# --- what is done with fetched sources ---------------------------------------------------------------------------

macro(gradus_build_stb sources)
  target_include_directories(gradus_stb SYSTEM INTERFACE ${sources})
endmacro()

macro(gradus_build_nlohmann_json sources)
  target_include_directories(gradus_nlohmann_json SYSTEM INTERFACE ${sources}/include)
endmacro()

macro(gradus_build_cli11 sources)
  target_include_directories(gradus_cli11 SYSTEM INTERFACE ${sources}/include)
endmacro()

# A library of these files, for gradus_NAME to link.
macro(gradus_build_objects name)
  add_library(gradus_${name}_objects STATIC ${ARGN})
  target_compile_features(gradus_${name}_objects PRIVATE cxx_std_14)
  target_link_libraries(gradus_${name}_objects PUBLIC Threads::Threads)
  target_link_libraries(gradus_${name} INTERFACE gradus_${name}_objects)
endmacro()

macro(gradus_build_zlib sources)
  enable_language(C)
  set(files adler32 compress crc32 deflate gzclose gzlib gzread gzwrite infback inffast inflate inftrees trees uncompr
      zutil)
  list(TRANSFORM files PREPEND ${sources}/)
  list(TRANSFORM files APPEND .c)
  gradus_build_objects(zlib ${files})
  target_compile_definitions(gradus_zlib_objects PRIVATE HAVE_UNISTD_H)
  target_include_directories(gradus_zlib_objects SYSTEM PUBLIC ${sources})
endmacro()

macro(gradus_build_utf8proc sources)
  enable_language(C)
  gradus_build_objects(utf8proc ${sources}/utf8proc.c)
  target_compile_definitions(gradus_utf8proc_objects PUBLIC UTF8PROC_STATIC)
  target_include_directories(gradus_utf8proc_objects SYSTEM PUBLIC ${sources})
endmacro()

macro(gradus_build_gtest sources)
  gradus_build_objects(gtest ${sources}/googletest/src/gtest-all.cc ${sources}/googletest/src/gtest_main.cc)
  target_include_directories(gradus_gtest_objects PRIVATE ${sources}/googletest
                             SYSTEM PUBLIC ${sources}/googletest/include)
endmacro()

macro(gradus_build_benchmark sources)
  file(GLOB files ${sources}/src/*.cc)
  gradus_build_objects(benchmark ${files})
  target_compile_definitions(gradus_benchmark_objects PRIVATE HAVE_STD_REGEX HAVE_STEADY_CLOCK
                             PUBLIC BENCHMARK_STATIC_DEFINE)
  target_include_directories(gradus_benchmark_objects SYSTEM PUBLIC ${sources}/include)
endmacro()
