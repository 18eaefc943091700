# Everything comes from Debian's packages; scripts/install-packages names them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

macro(sm_pkg var module)
  pkg_check_modules(${var} REQUIRED IMPORTED_TARGET ${module})
endmacro()

sm_pkg(LIBUV libuv)
sm_pkg(NGHTTP2 libnghttp2)
sm_pkg(OPENSSL openssl)
sm_pkg(XXHASH libxxhash)
sm_pkg(ZSTD libzstd)
sm_pkg(LZ4 liblz4)
sm_pkg(SNAPPY snappy)
sm_pkg(PCRE2 libpcre2-8)
sm_pkg(FYAML libfyaml)
sm_pkg(CURL libcurl)
sm_pkg(JEMALLOC jemalloc)
sm_pkg(ZLIB zlib)
find_library(CRYPT_LIB crypt REQUIRED)
sm_pkg(RDKAFKA rdkafka)
find_library(DEFLATE_LIB deflate REQUIRED)
find_library(ROARING_LIB roaring REQUIRED)
find_path(MSGPACK_INCLUDE msgpack/pack.h REQUIRED) # its packer lies in headers ...
find_library(MSGPACK_LIB msgpackc REQUIRED)        # ... the reader that tests compare with does not
sm_pkg(ZMQ libzmq)

# llhttp: Debian's node-llhttp ships the generated parser as C sources.
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp REQUIRED NO_DEFAULT_PATH)
find_path(LLHTTP_SOURCES llhttp.c PATHS /usr/share/llhttp REQUIRED NO_DEFAULT_PATH)
add_library(llhttp STATIC ${LLHTTP_SOURCES}/llhttp.c ${LLHTTP_SOURCES}/api.c ${LLHTTP_SOURCES}/http.c)
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
target_compile_options(llhttp PRIVATE -w -O2)

set(SM_BASE_LIBS Threads::Threads PkgConfig::LIBUV PkgConfig::NGHTTP2 PkgConfig::OPENSSL PkgConfig::XXHASH ${CRYPT_LIB}
  PkgConfig::ZLIB PkgConfig::ZSTD PkgConfig::LZ4 PkgConfig::SNAPPY ${DEFLATE_LIB} llhttp m)
set(SM_ZSTD_LIBS PkgConfig::ZSTD)
set(SM_DEFLATE_LIBS ${DEFLATE_LIB})
set(SM_ZMQ_LIBS PkgConfig::ZMQ)
set(SM_ROARING_LIBS ${ROARING_LIB})
set(SM_KAFKA_LIBS PkgConfig::RDKAFKA)
set(SM_PCRE2_LIBS PkgConfig::PCRE2)
set(SM_CURL_LIBS PkgConfig::CURL)
set(SM_YAML_LIBS PkgConfig::FYAML)
if(SM_SANITIZE)
  set(SM_ALLOCATOR_LIBS "") # sanitizers bring their own malloc
else()
  set(SM_ALLOCATOR_LIBS PkgConfig::JEMALLOC)
endif()
