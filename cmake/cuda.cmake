# The device "cuda": its kernels are .cu files, compiled by nvcc for a GPU or by the C++ compiler for the emulator.

# How the C++ compiler takes a kernel file. A race is found by what -fsanitize=thread puts around memory accesses, which
# call the emulator's checker: nothing is linked with a sanitizer.
set(gradus_emulated_flags -x c++ -Wno-unused-parameter -Wno-missing-field-initializers -fno-strict-aliasing -O1 -g1)
if(GRADUS_SIMT_CHECK)
  list(APPEND gradus_emulated_flags -fsanitize=thread,alignment)
endif()

# Adds kernel files to a target.
function(gradus_cuda_sources target)
  if(GRADUS_CUDA STREQUAL emu)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "${gradus_emulated_flags}")
  else()
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CUDA)
  endif()
  target_sources(${target} PRIVATE ${ARGN})
endfunction()

# Adds the device to the library.
function(gradus_use_cuda target)
  if(GRADUS_CUDA STREQUAL off)
    return()
  endif()
  file(GLOB kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tensor/kernels/cuda/*.cu)
  gradus_cuda_sources(${target} ${kernels})
  # The places where the library meets the device; all else looks the same with and without it.
  set_source_files_properties(tensor/device.cpp tensor/storage.cpp tensor/kernels/dispatch.cpp PROPERTIES
                              COMPILE_DEFINITIONS GRADUS_CUDA)
  if(GRADUS_CUDA STREQUAL emu)
    file(GLOB emulator CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tensor/kernels/cuda/emu/*.cpp)
    set_source_files_properties(${emulator} PROPERTIES COMPILE_OPTIONS -g)  # gdb shows threadIdx and the others
    target_sources(${target} PRIVATE ${emulator})
    target_link_libraries(${target} PUBLIC ${CMAKE_DL_LIBS})
    if(GRADUS_SIMT_CHECK)
      target_compile_definitions(${target} PUBLIC GRADUS_SIMT_CHECK)
    endif()
  else()
    target_link_libraries(${target} PUBLIC CUDA::cudart_static)
  endif()
endfunction()

set_property(CACHE GRADUS_CUDA PROPERTY STRINGS off emu nvcc)
if(GRADUS_CUDA STREQUAL nvcc)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    if(CMAKE_VERSION VERSION_LESS 3.24)
      message(FATAL_ERROR "CMake ${CMAKE_VERSION} cannot ask the GPU what it is: set CMAKE_CUDA_ARCHITECTURES, such as 90")
    endif()
    set(CMAKE_CUDA_ARCHITECTURES native)
  endif()
  find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDA_PATH /usr/local/cuda/bin)
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  set(CMAKE_CUDA_FLAGS_RELEASE "-O3")
  # -fmad=false: as -ffp-contract=off does elsewhere, so that only what is written as fma is one.
  add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--expt-relaxed-constexpr;--extended-lambda;-fmad=false>"
                      "$<$<AND:$<BOOL:${GRADUS_WERROR}>,$<COMPILE_LANGUAGE:CUDA>>:SHELL:-Werror all-warnings>")
elseif(NOT GRADUS_CUDA MATCHES "^(off|emu)$")
  message(FATAL_ERROR "GRADUS_CUDA is '${GRADUS_CUDA}'; it must be off, emu or nvcc")
endif()
