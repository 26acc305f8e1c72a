# Header, libraries, command, CMake package and pkg-config file.
