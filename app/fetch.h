/* Blocking HTTP requests of subcommands, one after the other over a connection that is kept alive. Not for the daemon:
 * sinks have sinks/http_client.h.
 *
 * What a daemon's door asks for (TLS, credentials) comes from the environment, so that it stands in no list of processes:
 * SPANMILL_CA, SPANMILL_CERT, SPANMILL_KEY name files; SPANMILL_TOKEN is a bearer token, SPANMILL_USER "name:password".
 *
 * One thread. Redirects are not followed. A reply's body is read up to SM_FETCH_BODY_MAX bytes. */
#ifndef SM_FETCH_H
#define SM_FETCH_H

#include "base/base.h"
#include "base/buf.h"

#include <signal.h>

#define SM_FETCH_BODY_MAX (UINT64_C(256) << 20)

struct sm_fetch;

/* `timeout_ns` is for one request. `*stop` (may be NULL) ends a request that is under way. */
struct sm_fetch *sm_fetch_new(int64_t timeout_ns, const volatile sig_atomic_t *stop);
void sm_fetch_free(struct sm_fetch *f);

/* Start zero-initialised; reused from request to request, the body is freed with sm_buf_fini. */
struct sm_fetch_reply {
    long status;
    struct sm_buf body;
};

/* SM_OK: there was a reply, whatever its status. SM_E_CLOSED: nobody listens there. SM_E_INVALID: no HTTP URL.
 * SM_E_TIMEOUT, SM_E_LIMIT, SM_E_IO; err says why in words. */
enum sm_rc sm_fetch_get(struct sm_fetch *f, const char *url, struct sm_fetch_reply *reply,
                        struct sm_err *err) SM_MUST_USE;
enum sm_rc sm_fetch_post(struct sm_fetch *f, const char *url, const char *content_type, struct sm_str body,
                         struct sm_fetch_reply *reply, struct sm_err *err) SM_MUST_USE;

/* What the body of an error says, in one printable line: the text of a JSON error of one of our APIs ("error",
 * "message", "msg"), else its first line. Writes at most `size` bytes, terminated. */
void sm_fetch_error_text(const struct sm_fetch_reply *reply, char *text, size_t size);

#endif
