/* The table of app/config.def as data, and questions about it. Used by the files of the configuration only. */
#ifndef SM_CONFIG_KEY_H
#define SM_CONFIG_KEY_H

#include "base/base.h"

enum sm_config_type {
    SM_CONFIG_SECTION, /* no key: a heading of the reference */
    SM_CONFIG_BOOL,    /* bool */
    SM_CONFIG_INT,     /* uint32_t or uint64_t */
    SM_CONFIG_NUMBER,  /* double; negative when unset */
    SM_CONFIG_RATIO,   /* double from 0 to 1; negative when unset */
    SM_CONFIG_SIZE,    /* uint64_t bytes */
    SM_CONFIG_AMOUNT,  /* struct sm_config_amount */
    SM_CONFIG_DURATION, /* int64_t ns */
    SM_CONFIG_STRING,  /* char * */
    SM_CONFIG_PATH,    /* char * */
    SM_CONFIG_ADDRESS, /* char *, NULL when off */
    SM_CONFIG_ENDPOINT, /* the same, of ZeroMQ */
    SM_CONFIG_ENUM,    /* an enum whose values are the positions of the choices */
    SM_CONFIG_QUERY,   /* struct sm_config_query */
    SM_CONFIG_STRINGS, /* struct sm_config_strings */
    SM_CONFIG_HEADERS, /* struct sm_config_headers */
    SM_CONFIG_LIST,    /* struct { item *items; size_t n; } */
};

struct sm_config_key {
    const char *path; /* "windows.idle", "rules", "rules[].name" */
    enum sm_config_type type;
    size_t offset; /* in struct sm_config, or in the item's struct */
    size_t size;   /* of the member; LIST: of an item */
    const char *fallback; /* default: NULL required, "" unset */
    const char *least, *most;
    const char *choices; /* ENUM: separated by "|" */
    const char *help;    /* SECTION: its introduction */
};

extern const struct sm_config_key sm_config_keys[];
extern const size_t sm_config_key_count;

/* What a user calls the type: "duration". */
const char *sm_config_type_name(enum sm_config_type type);

/* The key with this path, or NULL. */
const struct sm_config_key *sm_config_key_find(struct sm_str path);

/* True when keys live below the path: "windows", "analysis.graph". */
bool sm_config_key_is_section(struct sm_str path);

/* The part of the key's path below a list item, or all of it: "name" of "rules[].name". */
const char *sm_config_key_in_item(const struct sm_config_key *key);

/* True when the path begins with `prefix` ("" or ending in "." ) and the rest lies in the same struct, not in a list's item. */
bool sm_config_key_below(const struct sm_config_key *key, struct sm_str prefix);

/* Writes advice about an unknown name below `prefix` ("", "windows.", "rules[]."): `; did you mean "idle"?`, a key of another
 * section, or the valid names. */
void sm_config_key_advice(struct sm_str prefix, struct sm_str name, char *text, size_t size);

#endif
