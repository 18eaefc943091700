#include "base/net/unix_socket.h"

#include "base/net/tcp.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[64], path[96];

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/tmp/spanmill-unix-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.sock", dir);
}

static void tear_down(void)
{
    unlink(path);
    rmdir(dir);
}

TestSuite(unix_socket, .init = set_up, .fini = tear_down);

static struct sm_unix_socket *listen_here(unsigned mode)
{
    struct sm_err err = {0};
    struct sm_unix_socket *s = sm_unix_listen(path, mode, &err);
    cr_assert(s, "%s", err.text);
    return s;
}

static bool exists(void)
{
    return access(path, F_OK) == 0;
}

Test(unix_socket, addresses)
{
    cr_assert_str_eq(sm_unix_path("unix:/run/a.sock"), "/run/a.sock");
    cr_assert_str_eq(sm_unix_path("unix:///run/a.sock"), "/run/a.sock");
    cr_assert_str_eq(sm_unix_path("unix:a.sock"), "a.sock");
    cr_assert_null(sm_unix_path("127.0.0.1:1"));
    cr_assert_null(sm_unix_path("/run/a.sock"));
}

Test(unix_socket, file_comes_with_its_mode_and_goes)
{
    const unsigned modes[] = {0600, 0660, 0666};
    mode_t before = umask(077); /* which must not narrow what was asked for */
    for (size_t i = 0; i < SM_ARRAY_LEN(modes); i++) {
        struct stat st;
        struct sm_unix_socket *s = listen_here(modes[i]);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(st.st_mode & 0777, modes[i]);
        sm_unix_close(s);
        cr_assert_not(exists());
    }
    umask(before);
}

Test(unix_socket, second_listener_is_refused)
{
    struct sm_err err = {0};
    struct sm_unix_socket *s = listen_here(0600);
    cr_assert_eq(sm_unix_check_free(path, &err), SM_E_IO);
    cr_assert(strstr(err.text, "Address already in use"), "%s", err.text);
    cr_assert_null(sm_unix_listen(path, 0600, &err));
    cr_assert(exists());
    sm_unix_close(s);
}

Test(unix_socket, socket_of_a_dead_process_is_replaced)
{
    struct sm_err err = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    cr_assert(exists());
    cr_assert_eq(sm_unix_check_free(path, &err), SM_OK, "%s", err.text);
    cr_assert(exists()); /* looking changes nothing */
    sm_unix_close(listen_here(0600));
    cr_assert_not(exists());
}

Test(unix_socket, other_files_are_left_alone)
{
    struct sm_err err = {0};
    FILE *f = fopen(path, "w");
    fputs("precious", f);
    fclose(f);
    cr_assert_null(sm_unix_listen(path, 0600, &err));
    cr_assert(strstr(err.text, "something else than a socket"), "%s", err.text);
    cr_assert(exists());
    unlink(path);
    cr_assert_eq(symlink("/etc/passwd", path), 0);
    cr_assert_null(sm_unix_listen(path, 0600, &err));
    cr_assert_null(sm_unix_listen("", 0600, &err));
    char longer[200];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    cr_assert_null(sm_unix_listen(longer, 0600, &err));
    cr_assert_null(sm_unix_listen("/nowhere/a.sock", 0600, &err));
    cr_assert(strstr(err.text, "No such file"), "%s", err.text);
}

/* Somebody else's file at the same path is not removed by the one who was there before. */
Test(unix_socket, successor_keeps_its_file)
{
    struct sm_unix_socket *first = listen_here(0600);
    unlink(path);
    struct sm_unix_socket *second = listen_here(0600);
    sm_unix_close(first);
    cr_assert(exists());
    sm_unix_close(second);
    cr_assert_not(exists());
}

struct acceptor {
    unsigned accepted;
};

static void on_closed(void *ctx SM_UNUSED)
{
}

static const struct sm_stream_events closing = {.closed = on_closed};

static void on_accept(void *ctx, struct sm_stream *stream)
{
    ((struct acceptor *)ctx)->accepted++;
    stream->events = &closing;
    stream->ops->close(stream);
}

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Two loops accept from one socket; when one is gone, the other goes on. */
Test(unix_socket, loops_share_it)
{
    struct sm_err err = {0};
    struct sm_unix_socket *s = listen_here(0600);
    struct acceptor seen[2] = {{0}};
    struct sm_loop *loops[2];
    struct sm_tcp_listener *listeners[2];
    char address[32];
    snprintf(address, sizeof address, "@%d", sm_unix_fd(s));
    for (unsigned i = 0; i < 2; i++) {
        loops[i] = sm_loop_new(NULL, NULL);
        listeners[i] = sm_tcp_listen(loops[i], address, NULL, on_accept, &seen[i], &err);
        cr_assert(listeners[i], "%s", err.text);
    }
    for (unsigned i = 0; i < 2; i++) {
        int fd = dial();
        for (unsigned turns = 0; turns < 100 && !seen[i].accepted; turns++)
            sm_loop_poll(loops[i]);
        cr_assert_eq(seen[i].accepted, 1);
        close(fd);
    }
    sm_tcp_listener_close(listeners[0]);
    sm_loop_poll(loops[0]);
    int fd = dial();
    for (unsigned turns = 0; turns < 100 && seen[1].accepted < 2; turns++)
        sm_loop_poll(loops[1]);
    cr_assert_eq(seen[1].accepted, 2);
    close(fd);
    sm_tcp_listener_close(listeners[1]);
    sm_loop_free(loops[0]);
    sm_loop_free(loops[1]);
    sm_unix_close(s);
    cr_assert_null(sm_tcp_listen(NULL, "@-1", NULL, on_accept, NULL, &err));
}
