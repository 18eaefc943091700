/* receivers.def as a table. */
#ifndef SM_RECEIVERS_H
#define SM_RECEIVERS_H

#include "app/config.h"
#include "ingest/receiver.h"

enum sm_receivers_index {
#define SM_RECEIVER(key, ...) SM_RECEIVERS_##key,
#include "app/receivers.def"
#undef SM_RECEIVER
    SM_RECEIVERS_COUNT
};

struct sm_receivers_line {
    const char *key;                 /* "otlp_http", as in `listen` */
    const char *title, *scheme, *path; /* for people: "OTLP HTTP", "http", "/v1/traces" */
    const struct sm_receiver_ops *ops;
    size_t address; /* of its setting in struct sm_config */
};

extern const struct sm_receivers_line sm_receivers[SM_RECEIVERS_COUNT];

/* Where it is to listen; NULL: it is off. Belongs to the configuration. */
const char *sm_receivers_address(const struct sm_config *c, const struct sm_receivers_line *line);

/* The receiver of a setting of `listen`; NULL: it is none of a receiver. */
const struct sm_receiver_ops *sm_receivers_at(size_t address);

/* Both are configured, and at one place; port 0 is never the same. */
bool sm_receivers_meet(const char *address, const char *other);

#endif
