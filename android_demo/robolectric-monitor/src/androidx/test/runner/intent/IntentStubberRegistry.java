package androidx.test.runner.intent;

/** No intent is stubbed. */
public final class IntentStubberRegistry {
    private IntentStubberRegistry() {}

    public static boolean isLoaded() {
        return false;
    }

    public static IntentStubber getInstance() {
        throw new IllegalStateException("this stand-in has no intent stubber");
    }
}
