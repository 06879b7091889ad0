package org.legodnn.demo;

import android.content.Context;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import org.legodnn.Assets;
import org.legodnn.Workload;

/** What is packed in the APK: a bundle (assets/workload.json, with stores and profiles), and assets/digits.bin. */
final class Packed {
    private final Context context;

    Packed(Context context) {
        this.context = context;
    }

    /** The models, with the profiles that were measured where they were packed; stores are unpacked once. */
    Workload workload() {
        return Assets.workload(
                context.getAssets(), "workload.json", new File(context.getNoBackupFilesDir(), "stores"));
    }

    Digits digits() throws IOException {
        try (InputStream stream = context.getAssets().open("digits.bin")) {
            return Digits.read(stream);
        }
    }
}
