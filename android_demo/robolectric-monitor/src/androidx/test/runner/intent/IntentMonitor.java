package androidx.test.runner.intent;

/** Robolectric registers one and asks it nothing. */
public interface IntentMonitor {}
