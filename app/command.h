/* Subcommands: what each is, how its arguments are read, what its exit code means. One thread, before anything else runs. */
#ifndef SM_COMMAND_H
#define SM_COMMAND_H

#include "app/config.h"
#include "base/base.h"

/* Exit codes of every subcommand. */
enum sm_exit {
    SM_EXIT_OK = 0,
    SM_EXIT_FAILURE = 1, /* it was tried and did not work; standard error says why */
    SM_EXIT_USAGE = 2,   /* the command line or the configuration is wrong; nothing was tried */
};

/* An option `--name` or `-letter`. */
struct sm_option {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* what its value is called in the help; NULL: takes none */
    const char *help;
};

#define SM_OPTIONS_MAX 16

struct sm_args;

struct sm_command {
    const char *name;
    const char *operands; /* after the options in the usage line: "FILE...", or "" */
    const char *summary;  /* one line */
    const char *help;     /* further paragraphs, or NULL */
    struct sm_option options[SM_OPTIONS_MAX]; /* ended by a NULL name; --help is always there */
    enum sm_exit (*run)(struct sm_args *args);
};

extern const struct sm_command *const sm_commands[];
extern const size_t sm_command_count;

/* NULL when there is none. */
const struct sm_command *sm_command_find(const char *name);
/* Says on standard error that there is no such subcommand, with the nearest one. */
enum sm_exit sm_command_unknown(const char *name);
void sm_command_print_usage(FILE *out);
void sm_command_print_help(const struct sm_command *command, FILE *out);

/* The rest of the command line while it is read. */
struct sm_args {
    const struct sm_command *command;
    char **argv; /* NULL-terminated, without program and subcommand */
    const char *value;        /* of the option or the operand just read */
    const char *letters;      /* the rest of a group of letters */
    bool operands_only;       /* "--" was seen */
};

enum { SM_ARGS_END = -1, SM_ARGS_OPERAND = -2, SM_ARGS_ERROR = -3 };

/* Reads on: the position of an option in command->options, SM_ARGS_OPERAND, SM_ARGS_END, or SM_ARGS_ERROR after it has said on
 * standard error what is wrong. */
int sm_args_next(struct sm_args *args);

/* Says on standard error what is wrong with the command line. */
enum sm_exit sm_args_usage(const struct sm_args *args, const char *format, ...) SM_PRINTF(2, 3);

/* The options by which a command is configured; put SM_CONFIG_OPTIONS first among its options and hand their positions to
 * sm_config_args_take. */
enum { SM_OPTION_CONFIG, SM_OPTION_SET, SM_OPTION_CONFIG_COUNT };
#define SM_CONFIG_OPTIONS                                                                                              \
    {"config", 'c', "FILE", "read the configuration from FILE (default: built-in values)"},                            \
        {"set", 's', "KEY=VALUE", "set one key, over what the file says; may be repeated"}

#define SM_CONFIG_SETS_MAX 100

struct sm_config_args {
    const char *file;
    const char *sets[SM_CONFIG_SETS_MAX];
    size_t n_sets;
};

/* True when the option was one of SM_CONFIG_OPTIONS (or too many of them, which sm_config_args_load reports). */
bool sm_config_args_take(struct sm_config_args *config_args, int option, const char *value);

/* Defaults, file and assignments, validated, rules compiled for a try. NULL after reporting on standard error. */
struct sm_config *sm_config_args_load(const struct sm_config_args *config_args);

#endif
