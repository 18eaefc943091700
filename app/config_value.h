/* Text -> value of one configuration key, range included. Lists and maps are put together by config_yaml.c. */
#ifndef SM_CONFIG_VALUE_H
#define SM_CONFIG_VALUE_H

#include "app/config_key.h"

/* Sets the member of a key with a scalar type (not STRINGS, HEADERS, LIST) from text. Otherwise the member stays as it was
 * and err says what is wrong, without the key's name. */
enum sm_rc sm_config_value_parse(const struct sm_config_key *key, struct sm_str text, void *member,
                                 struct sm_err *err) SM_MUST_USE;

/* A duration such as "500ms", "1h30m", "7d", for command lines; *ns stays as it was when it is none. */
enum sm_rc sm_config_value_duration(struct sm_str text, int64_t *ns, struct sm_err *err) SM_MUST_USE;

/* Checks a text against the key's range of lengths and for control characters. */
enum sm_rc sm_config_value_check_text(const struct sm_config_key *key, struct sm_str text, struct sm_err *err) SM_MUST_USE;

/* Gives a zeroed member the key's default (required keys stay unset). */
void sm_config_value_default(const struct sm_config_key *key, void *member);

/* Frees what the member holds and zeroes it; items of a LIST must have been finished before. */
void sm_config_value_fini(const struct sm_config_key *key, void *member);

#endif
