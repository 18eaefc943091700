/* The table of subcommands and the reading of their arguments. */
#include "app/command.h"
#include "app/rules_config.h"
#include "base/nearest.h"

#define SM_COMMAND(name) extern const struct sm_command sm_command_##name;
#include "app/commands.def"
#undef SM_COMMAND

const struct sm_command *const sm_commands[] = {
#define SM_COMMAND(name) &sm_command_##name,
#include "app/commands.def"
#undef SM_COMMAND
};

const size_t sm_command_count = SM_ARRAY_LEN(sm_commands);

const struct sm_command *sm_command_find(const char *name)
{
    for (size_t i = 0; i < sm_command_count; i++)
        if (strcmp(sm_commands[i]->name, name) == 0)
            return sm_commands[i];
    return NULL;
}

enum sm_exit sm_command_unknown(const char *name)
{
    const char *names[SM_ARRAY_LEN(sm_commands)];
    for (size_t i = 0; i < sm_command_count; i++)
        names[i] = sm_commands[i]->name;
    const char *nearest = sm_nearest(sm_str_c(name), names, sm_command_count);
    fprintf(stderr, "spanmill: there is no subcommand \"%.60s\"", name);
    if (nearest)
        fprintf(stderr, "; did you mean \"%s\"?\n", nearest);
    else
        fprintf(stderr, "; see spanmill help\n");
    return SM_EXIT_USAGE;
}

void sm_command_print_usage(FILE *out)
{
    fputs("usage: spanmill SUBCOMMAND [OPTION...] [OPERAND...]\n\n"
          "Takes in spans, assembles traces, samples them as a whole, graphs services, stores and exports.\n\n",
          out);
    for (size_t i = 0; i < sm_command_count; i++)
        fprintf(out, "  %-10s %s\n", sm_commands[i]->name, sm_commands[i]->summary);
    fputs("\n`spanmill help SUBCOMMAND` tells more, `spanmill help config` lists every configuration key.\n"
          "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.\n",
          out);
}

static void print_option(const struct sm_option *option, FILE *out)
{
    char left[64];
    int n = option->letter ? snprintf(left, sizeof left, "-%c, --%s", option->letter, option->name)
                           : snprintf(left, sizeof left, "    --%s", option->name);
    if (option->value)
        snprintf(left + n, sizeof left - (size_t)n, " %s", option->value);
    fprintf(out, "  %-24s %s\n", left, option->help);
}

void sm_command_print_help(const struct sm_command *command, FILE *out)
{
    fprintf(out, "usage: spanmill %s [OPTION...]%s%s\n\n%s\n", command->name, *command->operands ? " " : "",
            command->operands, command->summary);
    if (command->help)
        fprintf(out, "\n%s\n", command->help);
    fputs("\n", out);
    for (const struct sm_option *option = command->options; option->name; option++)
        print_option(option, out);
    print_option(&(struct sm_option){"help", 'h', NULL, "show this"}, out);
}

/* ---- arguments ---- */

enum sm_exit sm_args_usage(const struct sm_args *args, const char *format, ...)
{
    char text[300];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fprintf(stderr, "spanmill %s: %s; see spanmill help %s\n", args->command->name, text, args->command->name);
    return SM_EXIT_USAGE;
}

static int option_count(const struct sm_command *command)
{
    int n = 0;
    while (n < SM_OPTIONS_MAX && command->options[n].name)
        n++;
    return n;
}

static int unknown_option(const struct sm_args *args, struct sm_str name)
{
    const char *names[SM_OPTIONS_MAX];
    int n = option_count(args->command);
    for (int i = 0; i < n; i++)
        names[i] = args->command->options[i].name;
    const char *nearest = sm_nearest(name, names, (size_t)n);
    if (nearest)
        sm_args_usage(args, "there is no option --%.*s; did you mean --%s?", (int)SM_MIN(name.len, (size_t)60), name.ptr, nearest);
    else
        sm_args_usage(args, "there is no option --%.*s", (int)SM_MIN(name.len, (size_t)60), name.ptr);
    return SM_ARGS_ERROR;
}

/* `attached` is the value that came with the option ("--set=x", "-sx"), NULL for none. */
static int take_option(struct sm_args *args, int option, const char *attached)
{
    const struct sm_option *o = &args->command->options[option];
    args->value = attached;
    if (!o->value && attached) {
        sm_args_usage(args, "--%s takes no value", o->name);
        return SM_ARGS_ERROR;
    }
    if (o->value && !attached && !(args->value = *args->argv)) {
        sm_args_usage(args, "--%s needs a value (%s)", o->name, o->value);
        return SM_ARGS_ERROR;
    }
    args->argv += o->value && !attached;
    return option;
}

static int take_long(struct sm_args *args, const char *text)
{
    size_t len = strcspn(text, "=");
    for (int i = 0; i < option_count(args->command); i++)
        if (sm_str_eq(sm_str_c(args->command->options[i].name), sm_str(text, len)))
            return take_option(args, i, text[len] ? text + len + 1 : NULL);
    return unknown_option(args, sm_str(text, len));
}

static int take_letter(struct sm_args *args)
{
    char letter = *args->letters++;
    const char *rest = *args->letters ? args->letters : NULL;
    args->letters = rest;
    for (int i = 0; i < option_count(args->command); i++) {
        const struct sm_option *o = &args->command->options[i];
        if (o->letter != letter)
            continue;
        if (o->value)
            args->letters = NULL;
        return take_option(args, i, o->value ? rest : NULL);
    }
    sm_args_usage(args, "there is no option -%c", letter);
    return SM_ARGS_ERROR;
}

int sm_args_next(struct sm_args *args)
{
    if (args->letters)
        return take_letter(args);
    const char *arg = *args->argv;
    if (!arg)
        return SM_ARGS_END;
    args->argv++;
    if (!args->operands_only && strcmp(arg, "--") == 0) {
        args->operands_only = true;
        return sm_args_next(args);
    }
    if (args->operands_only || arg[0] != '-' || !arg[1]) {
        args->value = arg;
        return SM_ARGS_OPERAND;
    }
    if (arg[1] == '-')
        return take_long(args, arg + 2);
    args->letters = arg + 1;
    return take_letter(args);
}

/* ---- configuration ---- */

bool sm_config_args_take(struct sm_config_args *config_args, int option, const char *value)
{
    if (option == SM_OPTION_CONFIG)
        config_args->file = value;
    else if (option == SM_OPTION_SET && config_args->n_sets++ < SM_CONFIG_SETS_MAX)
        config_args->sets[config_args->n_sets - 1] = value;
    return option == SM_OPTION_CONFIG || option == SM_OPTION_SET;
}

struct sm_config *sm_config_args_load(const struct sm_config_args *config_args)
{
    struct sm_config *c = sm_config_new();
    struct sm_config_report report = {0};
    bool ok = true;
    if (config_args->n_sets > SM_CONFIG_SETS_MAX)
        sm_config_report_add(&report, NULL, "more than %d assignments by --set", SM_CONFIG_SETS_MAX);
    if (config_args->file)
        ok = sm_config_load(c, config_args->file, &report);
    for (size_t i = 0; i < SM_MIN(config_args->n_sets, (size_t)SM_CONFIG_SETS_MAX); i++)
        ok = sm_config_set(c, config_args->sets[i], &report) && ok;
    /* What keys say together only means something once each is right. */
    sm_rules_config_check(c, ok && sm_config_validate(c, &report), &report);
    if (report.count) {
        fputs(sm_config_report_text(&report), stderr);
        sm_config_free(c);
        c = NULL;
    }
    sm_config_report_fini(&report);
    return c;
}
