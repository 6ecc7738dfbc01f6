# chapter(ch03 PROGRAMS softmax.cpp linear_classifier.cpp [SLOW training.cpp] [LIBRARIES made_up ...])
#
# Each program becomes a target ch03_softmax, the executable tutorials/ch03/softmax of the build, and a test
# ch03.softmax that runs it without arguments in an empty folder; ch03 builds all of them. The test ch03.text compares
# README.md with what they print. Where there are exercises (exercises.h, exercises.cpp, grader.cpp):
#
#   prove_ch03   the grader with the solution, the stub and both mistakes of each task; the test ch03.graders
#   grade_ch03   the grader with exercises/ch03/exercises.cpp, once ./run exercises ch03 has written that
#
# All these tests have the label ch03. Programs that take more than ten seconds are SLOW: their tests, and that of the
# text, which quotes them, also have the label slow, and are left to the night. LIBRARIES are linked to all of it, and
# all of it knows where checkpoints are: GRADUS_CHECKPOINTS is tutorials/checkpoints. Sanitizers' builds have nothing of
# it: what can go wrong with memory is in the library, which they test.
#
# chapter(ch20 CUDA PROGRAMS threads.cu ...) is a chapter whose files contain kernels. It is built where these run on the
# emulator and are looked after, in the preset simt, and no other chapter is; ./run check simt tests it.
find_package(Python3 COMPONENTS Interpreter QUIET)
if(NOT Python3_FOUND)
  message(STATUS "gradus: no Python 3, so the tutorials' graders and the checks of their text are left out")
endif()

set(tools ${PROJECT_SOURCE_DIR}/tools)
add_library(grading STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/grading/grading.cpp)
target_link_libraries(grading PUBLIC gradus PRIVATE gradus_flags gradus_cli11)
target_compile_options(grading PRIVATE $<$<CONFIG:Release>:-O1>)

# Compiled quickly: what takes time is in the library.
function(chapter_options target)
  target_link_libraries(${target} PRIVATE gradus ${ARGN})
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  target_compile_definitions(${target} PRIVATE GRADUS_CHECKPOINTS="${PROJECT_SOURCE_DIR}/tutorials/checkpoints")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tutorials/${chapter})
  if(NOT GRADUS_TESTS)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL TRUE)
  endif()
endfunction()

function(chapter_test name)
  if(GRADUS_TESTS)
    add_test(NAME ${chapter}.${name} COMMAND ${ARGN})
    set_tests_properties(${chapter}.${name} PROPERTIES LABELS "${chapter}" TIMEOUT 240)
  endif()
endfunction()

function(chapter chapter)
  cmake_parse_arguments(PARSE_ARGV 1 own "CUDA" "" "PROGRAMS;SLOW;LIBRARIES")
  set(kernel_flags)
  if(own_CUDA)
    set(kernel_flags ${gradus_emulated_flags})
  endif()
  add_custom_target(${chapter})
  set(tests)
  foreach(file ${own_PROGRAMS} ${own_SLOW})
    get_filename_component(name ${file} NAME_WE)
    set(target ${chapter}_${name})
    add_executable(${target} ${file})
    set_source_files_properties(${file} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "${kernel_flags}")
    chapter_options(${target} ${own_LIBRARIES} gradus_flags gradus_cli11)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name})
    add_dependencies(${chapter} ${target})
    # What it prints is kept, so that ch03.text need not run it again.
    chapter_test(${name} ${PROJECT_SOURCE_DIR}/tutorials/run_program.sh $<TARGET_FILE:${target}>
                 ${CMAKE_CURRENT_BINARY_DIR}/empty_${name} ${CMAKE_CURRENT_BINARY_DIR}/${chapter}.${name}.txt)
    list(APPEND tests ${chapter}.${name})
  endforeach()
  if(GRADUS_TESTS AND Python3_FOUND AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/README.md)
    chapter_test(text ${Python3_EXECUTABLE} ${tools}/weave.py --check ${chapter}
                 --build ${PROJECT_BINARY_DIR} --outputs ${CMAKE_CURRENT_BINARY_DIR})
    set_tests_properties(${chapter}.text PROPERTIES DEPENDS "${tests}")
  endif()
  if(own_SLOW AND GRADUS_TESTS)
    set(slow ${own_SLOW} text)
    list(TRANSFORM slow REPLACE "^(.+)[.](cpp|cu)$" "\\1")
    list(TRANSFORM slow PREPEND ${chapter}.)
    foreach(test ${slow})
      if(TEST ${test})
        set_tests_properties(${test} PROPERTIES LABELS "${chapter};slow")
      endif()
    endforeach()
  endif()
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/grader.cpp AND Python3_FOUND)
    chapter_grader()
  endif()
  if(own_CUDA AND TARGET cuda_tests)
    add_dependencies(cuda_tests ${chapter})
    if(TARGET prove_${chapter})
      add_dependencies(cuda_tests prove_${chapter})
    endif()
  endif()
endfunction()

# What grades the exercises of a chapter, and the proof of it. A macro: it reads what chapter() knows.
macro(chapter_grader)
  add_library(grader_${chapter} OBJECT EXCLUDE_FROM_ALL grader.cpp)
  set_source_files_properties(grader.cpp PROPERTIES COMPILE_OPTIONS "${kernel_flags}")
  chapter_options(grader_${chapter} ${own_LIBRARIES} gradus_flags)

  set(variants solution stub mistake_1 mistake_2)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/variants)
  list(TRANSFORM variants REPLACE "(.+)" "${folder}/\\1.cpp" OUTPUT_VARIABLE files)
  add_custom_command(OUTPUT ${files} ${folder}/causes.cpp VERBATIM
    COMMAND ${Python3_EXECUTABLE} ${tools}/exercises.py variants ${CMAKE_CURRENT_SOURCE_DIR} ${folder}
    DEPENDS ${tools}/exercises.py ${CMAKE_CURRENT_SOURCE_DIR}/exercises.cpp)
  add_executable(prove_${chapter} $<TARGET_OBJECTS:grader_${chapter}> ${folder}/causes.cpp)
  foreach(variant ${variants})
    target_sources(prove_${chapter} PRIVATE ${folder}/${variant}.cpp)
    set_source_files_properties(${folder}/${variant}.cpp PROPERTIES
      COMPILE_DEFINITIONS GRADING_VARIANT="${variant}" INCLUDE_DIRECTORIES ${CMAKE_CURRENT_SOURCE_DIR})
    set(idle)
    if(NOT variant STREQUAL "solution")  # what the solution used may lie idle
      set(idle -Wno-unused -Wno-unused-parameter)
    endif()
    set_source_files_properties(${folder}/${variant}.cpp PROPERTIES COMPILE_OPTIONS "${kernel_flags};${idle}")
  endforeach()
  chapter_options(prove_${chapter} ${own_LIBRARIES} gradus_flags grading)
  foreach(target grader_${chapter} prove_${chapter})  # their five files run for milliseconds
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O0>)
  endforeach()
  chapter_test(graders prove_${chapter} --prove)
  if(GRADUS_TESTS)
    set_tests_properties(${chapter}.graders PROPERTIES LABELS "${chapter};graders")
  endif()

  # Warnings are for the reader to see, and stop nothing; a parameter that is not used yet is none.
  file(GLOB written CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/exercises/${chapter}/exercises.cpp)
  if(written)
    add_executable(grade_${chapter} ${written} $<TARGET_OBJECTS:grader_${chapter}>)
    chapter_options(grade_${chapter} ${own_LIBRARIES} grading)
    set_target_properties(grade_${chapter} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    # For the source, since options of sources come last, behind what the libraries bring.
    set_source_files_properties(${written} PROPERTIES COMPILE_OPTIONS
      "${kernel_flags};-Wall;-Wextra;-Wno-error;-Wno-sign-compare;-Wno-unused-parameter;-ffp-contract=off")
  endif()
endmacro()

# What is quick to check of all texts: quotations, tables, numerals, links.
if(GRADUS_TESTS AND NOT GRADUS_SANITIZE AND Python3_FOUND)
  add_test(NAME tutorials.weave COMMAND ${Python3_EXECUTABLE} ${tools}/weave.py --check --no-programs)
  add_test(NAME tutorials.tools COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/tutorial_tools.py)
endif()
