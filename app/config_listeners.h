/* The configuration of single listeners: what the shared sections say, with what `listeners` says for one of them on top. */
#ifndef SM_CONFIG_LISTENERS_H
#define SM_CONFIG_LISTENERS_H

#include "app/config.h"

/* What holds for one listener; texts belong to the configuration. NULL: none. */
struct sm_config_door {
    const char *cert, *key, *client_ca;
    const char *tokens, *users;
    const struct sm_config_strings *origins;
    struct sm_http_limits http;
    struct sm_inflate_limits inflate;
};

/* `name` as in `listen`. */
struct sm_config_door sm_config_listeners_door(const struct sm_config *c, const char *name);

/* Listeners in the order of the table: the name of the i-th and where its address stands in struct sm_config; false past the
 * last one. */
bool sm_config_listeners_at(unsigned i, const char **name, size_t *offset);

/* 0660 as a number. */
unsigned sm_config_listeners_socket_mode(const struct sm_config *c);

void sm_config_listeners_validate(const struct sm_config *c, struct sm_config_report *report);

#endif
