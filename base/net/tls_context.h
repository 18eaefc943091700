/* From PEM files to an SSL_CTX of a server. Private to base/net. */
#ifndef SM_NET_TLS_CONTEXT_H
#define SM_NET_TLS_CONTEXT_H

#include "base/net/tls.h"

#include <openssl/ssl.h>

/* NULL after filling *err: which file, and what is wrong with it. Any thread. */
SSL_CTX *sm_tls_context_load(const struct sm_tls_config *config, struct sm_err *err) SM_MUST_USE;

/* When its certificate expires, Unix time. */
int64_t sm_tls_context_expires_s(const SSL_CTX *context);

#endif
