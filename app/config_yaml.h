/* YAML -> struct sm_config, driven by the table of keys. */
#ifndef SM_CONFIG_YAML_H
#define SM_CONFIG_YAML_H

#include "app/config.h"
#include "app/config_key.h"

#define SM_CONFIG_PATH_MAX 160

/* Where in the configuration we are. */
struct sm_config_where {
    char path[SM_CONFIG_PATH_MAX];  /* as in the table: "rules[].name"; "" at the top */
    char shown[SM_CONFIG_PATH_MAX]; /* as in messages: "rules[0].name" */
    void *base;                     /* the struct that the keys' offsets count from */
};

struct sm_config_reader {
    const char *file; /* kept by positions: must live as long as the configuration */
    struct sm_config_report *report;
    struct sm_config_pos *places; /* by the key's place in sm_config_keys; filled for keys outside of lists */
};

/* Reads the only document in `text` as the value of what `where` names. Problems go to the report. */
void sm_config_yaml_read(const struct sm_config_reader *reader, struct sm_str text, const struct sm_config_where *where);

/* Reads a scalar key's value from text that is not YAML, variables included. */
void sm_config_scalar_read(const struct sm_config_reader *reader, struct sm_str text, const struct sm_config_where *where,
                           const struct sm_config_key *key, const struct sm_config_pos *pos);

/* Frees the items of a list, or everything below `prefix` ("" or "rules[].") in the struct at base. */
void sm_config_fini_below(const char *prefix, void *base);
void sm_config_default_below(const char *prefix, void *base);

/* The list's items as bytes. */
struct sm_config_list {
    void *items;
    size_t n;
};

void *sm_config_list_item(const struct sm_config_key *key, const struct sm_config_list *list, size_t i);

#endif
