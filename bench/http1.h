/* The little of HTTP/1.1 that the sender and the sink need: a head, then a body of Content-Length bytes. */
#ifndef BENCH_HTTP1_H
#define BENCH_HTTP1_H

#include "base/base.h"

struct bench_http1_head {
    size_t bytes;         /* of the head, blank line included */
    uint32_t status;      /* of a response */
    struct sm_str method; /* of a request */
    struct sm_str target;
    uint64_t content_length;
    bool chunked;
    bool gzip;
    bool expects_continue;
};

/* SM_E_TRUNCATED: the head is not complete yet. SM_E_INVALID: not HTTP/1. Strings point into the input. */
enum sm_rc bench_http1_parse(const uint8_t *bytes, size_t n, struct bench_http1_head *head) SM_MUST_USE;

#endif
