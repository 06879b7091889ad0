package org.legodnn.internal.tflite;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

import org.legodnn.StoreException;

/**
 * Writes the linked model of some files, for tests/runtime/test_java_linked_model.py: {@code LinkFiles OUT FILE...}
 * Prints what a StoreException says.
 */
public final class LinkFiles {
    private LinkFiles() {}

    public static void main(String[] args) throws IOException {
        List<File> files = new ArrayList<>();
        for (int i = 1; i < args.length; i++) {
            files.add(new File(args[i]));
        }
        try {
            LinkedModel.write(files, new File(args[0]));
        } catch (StoreException e) {
            System.out.println(e.getMessage());
        }
    }
}
