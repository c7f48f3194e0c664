/* Runs a command as in a container that is locked up well: ARGV[1] is the folder that is its only volume (/mnt), the rest
 * is the command, which becomes the first process.
 *
 * User, mount, PID and IPC namespaces; everything is read-only but the volume; /tmp and /var/tmp are empty; /dev/shm has
 * 64 MiB and executes nothing; the capabilities that docker leaves; no new privileges; a seccomp filter which denies what
 * docker's denies to a container without further capabilities. */
#include "program.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const int kept[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FSETID,  CAP_FOWNER,           CAP_MKNOD,
                           CAP_SETGID, CAP_SETUID,       CAP_SETFCAP, CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT,
                           CAP_KILL,   CAP_AUDIT_WRITE,  CAP_SETPCAP, CAP_NET_RAW};

static const int denied[] = {
    SYS_acct,          SYS_add_key,           SYS_bpf,           SYS_clock_adjtime, SYS_clock_settime,
    SYS_delete_module, SYS_fanotify_init,     SYS_finit_module,  SYS_fsconfig,      SYS_fsmount,
    SYS_fsopen,        SYS_fspick,            SYS_get_mempolicy, SYS_init_module,   SYS_io_uring_setup,
    SYS_ioperm,        SYS_iopl,              SYS_kcmp,          SYS_kexec_load,    SYS_kexec_file_load,
    SYS_keyctl,        SYS_lookup_dcookie,    SYS_mbind,         SYS_mount,         SYS_mount_setattr,
    SYS_move_mount,    SYS_move_pages,        SYS_open_tree,     SYS_perf_event_open, SYS_pivot_root,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_ptrace,     SYS_quotactl,      SYS_reboot,
    SYS_request_key,   SYS_set_mempolicy,     SYS_setns,         SYS_settimeofday,  SYS_swapoff,
    SYS_swapon,        SYS_sysfs,             SYS_syslog,        SYS_umount2,       SYS_unshare,
    SYS_uselib,        SYS_userfaultfd,       SYS_ustat,         SYS_vhangup,       SYS_open_by_handle_at,
    SYS_pidfd_getfd,
};
enum { DENIED = sizeof denied / sizeof *denied, KEPT = sizeof kept / sizeof *kept };

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0, path);
}

/* An empty `folder`; but where the programs under test lie below it (a clone of the repository in /tmp), the folder in it
 * that holds them stays. */
static void mount_empty(const char *folder) {
    char holder[PATH_MAX] = {0};
    require(readlink("/proc/self/exe", holder, sizeof holder - 1) > 0, "its own path");
    size_t length = strlen(folder);
    int is_below = strncmp(holder, folder, length) == 0 && holder[length] == '/';
    int tree = -1;
    if (is_below) {
        char *end = strchr(holder + length + 1, '/');
        require(end != NULL, "a folder that holds the programs");
        *end = 0;
        tree = syscall(SYS_open_tree, AT_FDCWD, holder, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        require(tree >= 0, "the programs");
    }
    require(mount("tmpfs", folder, "tmpfs", MS_NOSUID, "size=1m") == 0, folder);
    if (is_below) {
        require(mkdir(holder, 0755) == 0, holder);
        require(syscall(SYS_move_mount, tree, "", AT_FDCWD, holder, MOVE_MOUNT_F_EMPTY_PATH) == 0, "the programs again");
    }
}

static void mount_all(const char *volume) {
    require(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
    require(mount(volume, "/mnt", NULL, MS_BIND, NULL) == 0, "the volume");
    mount_empty("/tmp");
    mount_empty("/var/tmp");
    require(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, "/proc");
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY}, writable = {.attr_clr = MOUNT_ATTR_RDONLY};
    require(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof read_only) == 0, "read-only root");
    require(syscall(SYS_mount_setattr, AT_FDCWD, "/mnt", 0, &writable, sizeof writable) == 0, "writable volume");
    require(mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64m") == 0, "/dev/shm");
    require(access("/tmp", W_OK) != 0 && access("/var/tmp", W_OK) != 0, "/tmp can be written");
}

static void drop_capabilities(void) {
    uint64_t keep = 0;
    for (int i = 0; i < KEPT; i++) keep |= 1ULL << kept[i];
    for (int capability = 0; capability < 64; capability++)
        if (!(keep >> capability & 1)) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = keep, .permitted = keep},
                                             {.effective = keep >> 32, .permitted = keep >> 32}};
    require(syscall(SYS_capset, &header, data) == 0, "capset");
}

static void filter_calls(void) {
    enum { LOAD = BPF_LD | BPF_W | BPF_ABS, EQUAL = BPF_JMP | BPF_JEQ | BPF_K, SET = BPF_JMP | BPF_JSET | BPF_K };
    enum { RETURN = BPF_RET | BPF_K, NAMESPACES = 0x7e020000 };
    static struct sock_filter code[DENIED * 2 + 16];
    unsigned short n = 0;
#define ADD(...) code[n++] = (struct sock_filter)__VA_ARGS__
    ADD(BPF_STMT(LOAD, offsetof(struct seccomp_data, arch)));
    ADD(BPF_JUMP(EQUAL, AUDIT_ARCH_X86_64, 1, 0));
    ADD(BPF_STMT(RETURN, SECCOMP_RET_KILL_PROCESS));
    ADD(BPF_STMT(LOAD, offsetof(struct seccomp_data, nr)));
    for (int i = 0; i < DENIED; i++) {
        ADD(BPF_JUMP(EQUAL, (unsigned)denied[i], 0, 1));
        ADD(BPF_STMT(RETURN, SECCOMP_RET_ERRNO | EPERM));
    }
    ADD(BPF_JUMP(EQUAL, SYS_clone3, 0, 1));
    ADD(BPF_STMT(RETURN, SECCOMP_RET_ERRNO | ENOSYS));
    ADD(BPF_JUMP(EQUAL, SYS_clone, 0, 3));
    ADD(BPF_STMT(LOAD, offsetof(struct seccomp_data, args[0])));
    ADD(BPF_JUMP(SET, NAMESPACES, 0, 1));
    ADD(BPF_STMT(RETURN, SECCOMP_RET_ERRNO | EPERM));
    ADD(BPF_STMT(RETURN, SECCOMP_RET_ALLOW));
    struct sock_fprog program = {.len = n, .filter = code};
    require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0, "seccomp");
}

static void check(void) {
    require(syscall(SYS_ptrace, 0, 0, 0, 0) < 0 && errno == EPERM, "ptrace is allowed");
    require(syscall(SYS_unshare, 0x10000000) < 0 && errno == EPERM, "unshare is allowed");
    require(open("/forbidden", O_CREAT | O_WRONLY, 0600) < 0 && errno == EROFS, "the root can be written");
}

int main(int argc, char **argv) {
    char map[64];
    require(argc > 2, "a volume and a command");
    unsigned uid = getuid(), gid = getgid();
    require(syscall(SYS_unshare, 0x10000000 | 0x00020000 | 0x20000000 | 0x08000000) == 0, "namespaces");
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    write_file("/proc/self/gid_map", map);
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        mount_all(argv[1]);
        require(chdir("/mnt") == 0, "chdir");
        drop_capabilities();
        filter_calls();
        check();
        execvp(argv[2], argv + 2);
        require(0, "exec");
    }
    int status;
    while (waitpid(child, &status, 0) != child) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
