# A CMake toolchain: Clang and libc++ of the `ziglang` wheel, for Linux on SERENITY_TARGET_ARCH with
# glibc 2.28 or newer, as IREE's own wheels. packaging/build_wheels.py uses it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR "$ENV{SERENITY_TARGET_ARCH}")
set(SERENITY_ZIG "$ENV{SERENITY_ZIG}")
set(CMAKE_CXX_COMPILER "${SERENITY_ZIG}" c++ -target
  "${CMAKE_SYSTEM_PROCESSOR}-linux-gnu.2.28")

# The host's tools may not know the target's object files.
set(CMAKE_AR "${SERENITY_ZIG}")
set(CMAKE_CXX_ARCHIVE_CREATE "<CMAKE_AR> ar qcs <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "")
set(CMAKE_STRIP "")
foreach(kind EXE SHARED MODULE)
  set(CMAKE_${kind}_LINKER_FLAGS_INIT "-Wl,-s")
endforeach()
