/* Which pages of other sites may post from a browser (the CORS protocol of the Fetch standard).
 *
 * An origin is allowed as it is ("https://app.example.com"), by a pattern with one `*` for letters, digits, dots and hyphens,
 * mostly in front of ".example.com" or for a port, or with all others ("*"). Only POST is ever allowed: a page can send, never
 * read what somebody else has sent.
 *
 * Immutable once made: any thread. */
#ifndef SM_NET_CORS_H
#define SM_NET_CORS_H

#include "base/base.h"

struct sm_cors;

struct sm_cors_config {
    const char *const *origins;
    size_t origins_n;
    const char *const *headers; /* that requests may carry, besides content-type, content-encoding and authorization; "*": any */
    size_t headers_n;
    int64_t max_age_ns;         /* for how long a browser may remember the answer */
};

/* What a request's origin is told. */
enum sm_cors_answer {
    SM_CORS_NO,
    SM_CORS_ANYBODY, /* "*" and no credentials of the browser's */
    SM_CORS_NAMED,   /* by its name, and with the browser's credentials (sendBeacon insists on them) */
};

/* Strings are copied. NULL when a pattern is malformed; *err says which. */
struct sm_cors *sm_cors_new(const struct sm_cors_config *config, struct sm_err *err) SM_MUST_USE;
void sm_cors_free(struct sm_cors *cors);

enum sm_cors_answer sm_cors_ask(const struct sm_cors *cors, struct sm_str origin) SM_MUST_USE;
/* Value of access-control-allow-headers; `asked` is that of access-control-request-headers, which is given back when any
 * header may come. */
struct sm_str sm_cors_headers(const struct sm_cors *cors, struct sm_str asked);
/* Value of access-control-max-age. */
struct sm_str sm_cors_max_age(const struct sm_cors *cors);

#endif
