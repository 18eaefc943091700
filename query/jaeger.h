/* Jaeger's first query API, which the UI up to v2.20 and Grafana's data source use: /api/services, /api/operations,
 * /api/services/{service}/operations, /api/traces, /api/traces/{id}, /api/dependencies; POST /api/transform (query/transform.h)
 * and /api/archive/{id}. What there is no storage for (an archive, metrics) is 501.
 *
 * Replies are {"data", "total", "limit", "offset", "errors"}; an error's status is its code. Times are microseconds; where some
 * clients send milliseconds the magnitude decides. An unknown trace is 404, never an empty list. */
#ifndef SM_QUERY_JAEGER_H
#define SM_QUERY_JAEGER_H

#include "query/api.h"

#define SM_JAEGER_LIMIT_DEFAULT 100
#define SM_JAEGER_IDS_MAX       1000

extern const struct sm_query_api sm_jaeger_api;

/* A kind as Jaeger names it, "internal" for none. */
const char *sm_jaeger_kind_name(uint8_t kind);
/* The reverse, any case: a kind, or SM_STORE_KIND_ANY for the empty text. False for anything else. */
bool sm_jaeger_kind_parse(struct sm_str text, int *kind);
/* Whether an operation of this kind is among those of the wanted one; spans without a kind count as internal. */
bool sm_jaeger_kind_fits(int wanted, uint8_t kind);

/* Tags of a search: terms and the texts that they point to. Start zero-initialised. */
struct sm_jaeger_tags {
    struct sm_store_term terms[SM_STORE_TERMS_MAX];
    uint32_t count;
    uint8_t *text;
};

void sm_jaeger_tags_fini(struct sm_jaeger_tags *tags);
/* Adds the members of a JSON object; strings, and kinder than Jaeger numbers and booleans. False after filling *err. At most one
 * object per struct. */
bool sm_jaeger_tags_json(struct sm_jaeger_tags *tags, struct sm_str json, struct sm_err *err);
bool sm_jaeger_tags_add(struct sm_jaeger_tags *tags, struct sm_str key, struct sm_str value, struct sm_err *err);

#endif
