# Compiles for 64-bit ARM on Debian (g++-aarch64-linux-gnu) and runs what it compiled under qemu (qemu-user).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# The sources that other builds would fetch, from Debian's googletest and nlohmann-json3-dev. The headers get a folder
# of their own, because the rest of /usr/include is for another processor.
set(FETCHCONTENT_SOURCE_DIR_GTEST /usr/src/googletest CACHE PATH "")
set(FETCHCONTENT_SOURCE_DIR_NLOHMANN_JSON ${CMAKE_BINARY_DIR}/nlohmann_json CACHE PATH "")
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/nlohmann_json/include)
file(CREATE_LINK /usr/include/nlohmann ${CMAKE_BINARY_DIR}/nlohmann_json/include/nlohmann SYMBOLIC)
