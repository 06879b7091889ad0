package org.legodnn;

/** An inference failed while it ran; only this request is lost. */
public class InferenceException extends LegoException {
    private static final long serialVersionUID = 1;

    /** @param message what is wrong, where, and what to do */
    public InferenceException(String message) {
        super(message);
    }

    /**
     * @param message what is wrong, where, and what to do
     * @param cause what led to it
     */
    public InferenceException(String message, Throwable cause) {
        super(message, cause);
    }
}
