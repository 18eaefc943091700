/* Test support: one receiver on a worker's real event loop, with sockets on loopback; clients of tests/unit/base. */
#ifndef TEST_INGEST_RIG_H
#define TEST_INGEST_RIG_H

#include "ingest/receiver.h"
#include "tests/support/pipeline_rig.h"
#include "tests/unit/base/h2_peer.h"

struct ingest {
    struct rig rig;
    struct sm_listener listener;
    const struct sm_receiver_ops *ops;
    struct sm_receiver *receiver;
    struct peer_server peer; /* loop and port, for the clients */
    struct peer_client *client; /* NULL: a receiver without connections */
};

/* Zeros in `listener` mean the defaults. */
void ingest_open(struct ingest *in, const struct sm_receiver_ops *ops);
void ingest_close(struct ingest *in);

/* Payloads are refused from now on: above the soft mark of memory, or above the hard one; or no more. */
void ingest_overload(struct ingest *in);
void ingest_fill(struct ingest *in);
void ingest_relieve(struct ingest *in);

/* Sends a request with Content-Length on in->client; `headers` are lines that end in \r\n. The reply replaces what was read
 * before: its status is returned, 0 when none came. */
unsigned ingest_send(struct ingest *in, const char *method, const char *path, const char *headers, const void *body, size_t n);
/* POST with a content type (NULL: none) and further header lines. */
unsigned ingest_post(struct ingest *in, const char *path, const char *type, const char *more, const void *body, size_t n);
/* The same, text. */
unsigned ingest_post_text(struct ingest *in, const char *path, const char *type, const char *text);
/* Body of the last reply, terminated, and whether its head has this line. */
const char *ingest_body(const struct ingest *in, size_t *n);
bool ingest_has(const struct ingest *in, const char *head_line);

/* gzip of bytes in a new buffer. */
struct sm_buf ingest_gzip(const void *bytes, size_t n);

#endif
