package androidx.test.runner.lifecycle;

/** Robolectric registers one and asks it nothing. */
public interface ApplicationLifecycleMonitor {}
