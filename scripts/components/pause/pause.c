/*
 * pause: the process that holds a pod's namespaces open. It sleeps, collects orphans that became its children
 * (with a shared PID namespace it is their PID 1), and ends on SIGTERM or SIGINT.
 *
 * The three signals stay blocked and are taken with rt_sigtimedwait: the kernel queues a blocked signal even for
 * PID 1, so no handler is needed, and none can be interrupted. No C library: four system calls are all there is.
 */
#include <asm/unistd.h>

#define SIG_BLOCK 0
#define SIGINT 2
#define SIGTERM 15
#define SIGCHLD 17
#define WNOHANG 1
#define SIGNAL_BIT(signal) (1UL << ((signal) - 1))

static long system_call(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
#else
#error "pause is written for x86-64 and aarch64"
#endif
}

static void collect_children(void)
{
	while (system_call(__NR_wait4, -1, 0, WNOHANG, 0) > 0) {
	}
}

__attribute__((noreturn, used)) static void run(void)
{
	unsigned long signals = SIGNAL_BIT(SIGINT) | SIGNAL_BIT(SIGTERM) | SIGNAL_BIT(SIGCHLD);

	system_call(__NR_rt_sigprocmask, SIG_BLOCK, (long)&signals, 0, sizeof(signals));
	for (;;) {
		long signal;

		/* First, then wait: a child may have ended before its signal was blocked. */
		collect_children();
		signal = system_call(__NR_rt_sigtimedwait, (long)&signals, 0, 0, sizeof(signals));
		if (signal == SIGINT || signal == SIGTERM) {
			for (;;)
				system_call(__NR_exit_group, 0, 0, 0, 0);
		}
	}
}

/* The kernel enters here with a stack that is 16-byte aligned; the ABI wants a call's worth less at a function. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tcall run\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tbl run\n");
#endif
