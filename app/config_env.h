/* ${NAME} and ${NAME:-default} in configuration values. */
#ifndef SM_CONFIG_ENV_H
#define SM_CONFIG_ENV_H

#include "base/base.h"
#include "base/buf.h"

/* Appends `text` with variables of the environment put in: ${NAME} must be set; with ${NAME:-default} the default, taken as it
 * stands, replaces a variable that is unset or empty. `$${` gives `${`; any other `$` stands for itself. What was put in is
 * not looked at again. SM_E_INVALID: err says why. */
enum sm_rc sm_config_env_expand(struct sm_str text, struct sm_buf *out, struct sm_err *err) SM_MUST_USE;

#endif
