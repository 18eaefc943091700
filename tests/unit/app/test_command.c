#include "app/command.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

static enum sm_exit no_run(struct sm_args *args)
{
    (void)args;
    return SM_EXIT_OK;
}

static const struct sm_command command = {
    .name = "try",
    .operands = "FILE",
    .summary = "for tests",
    .options = {SM_CONFIG_OPTIONS, {"quiet", 'q', NULL, "say less"}, {"level", 'l', "N", "how much"}},
    .run = no_run,
};

enum { QUIET = SM_OPTION_CONFIG_COUNT, LEVEL };

/* "2:x" for option 2 with value x, "-2:f" for operand f, "-3" for an error; all, separated by blanks. */
static const char *read_all(char **argv)
{
    static char text[200];
    size_t len = 0;
    struct sm_args args = {.command = &command, .argv = argv};
    int option;
    text[0] = '\0';
    while ((option = sm_args_next(&args)) != SM_ARGS_END) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%d", len ? " " : "", option);
        if (option == SM_ARGS_ERROR)
            break;
        if (args.value)
            len += (size_t)snprintf(text + len, sizeof text - len, ":%s", args.value);
    }
    return text;
}

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})

Test(command, options_and_operands)
{
    cr_expect_str_eq(read_all(ARGV("--config", "a", "b")), "0:a -2:b");
    cr_expect_str_eq(read_all(ARGV("--config=a", "-c", "b", "-cc")), "0:a 0:b 0:c");
    cr_expect_str_eq(read_all(ARGV("-qlx", "-ql", "y", "-q")), "2 3:x 2 3:y 2");
    cr_expect_str_eq(read_all(ARGV("-q", "--", "-q", "--")), "2 -2:-q -2:--");
    cr_expect_str_eq(read_all(ARGV("-", "--set=a=b", "--level=")), "-2:- 1:a=b 3:");
    cr_expect_str_eq(read_all(ARGV(NULL)), "");
}

static const char *said(void)
{
    static char text[2000];
    fflush(stderr);
    FILE *f = cr_get_redirected_stderr();
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    return text;
}

Test(command, wrong_options, .init = cr_redirect_stderr)
{
    cr_expect_str_eq(read_all(ARGV("--quite")), "-3");
    cr_expect_str_eq(read_all(ARGV("--level")), "-3");
    cr_expect_str_eq(read_all(ARGV("--quiet=1")), "-3");
    cr_expect_str_eq(read_all(ARGV("-qx")), "2 -3");
    cr_expect_str_eq(read_all(ARGV("--zzz")), "-3");
    cr_expect_str_eq(said(), "spanmill try: there is no option --quite; did you mean --quiet?; see spanmill help try\n"
                             "spanmill try: --level needs a value (N); see spanmill help try\n"
                             "spanmill try: --quiet takes no value; see spanmill help try\n"
                             "spanmill try: there is no option -x; see spanmill help try\n"
                             "spanmill try: there is no option --zzz; see spanmill help try\n");
}

Test(command, unknown_subcommand_names_the_nearest, .init = cr_redirect_stderr)
{
    cr_expect_null(sm_command_find("chekc"));
    cr_expect_eq(sm_command_unknown("chekc"), SM_EXIT_USAGE);
    cr_expect_str_eq(said(), "spanmill: there is no subcommand \"chekc\"; did you mean \"check\"?\n");
}

Test(command, table_is_complete)
{
    for (size_t i = 0; i < sm_command_count; i++) {
        cr_expect_not_null(sm_commands[i]->run);
        cr_expect(strlen(sm_commands[i]->summary) > 5);
        cr_expect_eq(sm_command_find(sm_commands[i]->name), sm_commands[i]);
    }
}

Test(command, configuration_from_arguments, .init = cr_redirect_stderr)
{
    struct sm_config_args config_args = {0};
    cr_assert(sm_config_args_take(&config_args, SM_OPTION_SET, "windows.idle=3s"));
    cr_assert(sm_config_args_take(&config_args, SM_OPTION_SET, "workers=2"));
    cr_assert_not(sm_config_args_take(&config_args, QUIET, NULL));
    struct sm_config *c = sm_config_args_load(&config_args);
    cr_assert_not_null(c);
    cr_expect_eq(c->windows.idle_ns, 3 * SM_SEC);
    cr_expect_eq(c->workers, 2u);
    sm_config_free(c);
    cr_assert(sm_config_args_take(&config_args, SM_OPTION_SET, "workers=x"));
    cr_expect_null(sm_config_args_load(&config_args));
    cr_expect_str_eq(said(), "--set: workers: \"x\" is not an integer; write for example 1000 or 1_000\n");
}

Test(command, too_many_assignments, .init = cr_redirect_stderr)
{
    struct sm_config_args config_args = {0};
    for (int i = 0; i <= SM_CONFIG_SETS_MAX; i++)
        cr_assert(sm_config_args_take(&config_args, SM_OPTION_SET, "workers=1"));
    cr_expect_null(sm_config_args_load(&config_args));
    cr_expect_str_eq(said(), "more than 100 assignments by --set\n");
}
