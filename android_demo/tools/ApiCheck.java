import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.util.Collections;
import org.codehaus.mojo.animal_sniffer.ClassListBuilder;
import org.codehaus.mojo.animal_sniffer.SignatureChecker;
import org.codehaus.mojo.animal_sniffer.logging.Logger;
import org.codehaus.mojo.animal_sniffer.logging.PrintWriterLogger;

/**
 * Fails if classes call what an Android version does not have: `ApiCheck SIGNATURE CHECKED LIBRARY...`. What says by
 * Android's own TargetApi that it is for newer ones is not checked.
 */
class ApiCheck {
    public static void main(String[] arguments) throws Exception {
        Logger logger = new PrintWriterLogger(System.err);
        ClassListBuilder own = new ClassListBuilder(logger);
        for (int i = 1; i < arguments.length; i++) {
            own.process(new File(arguments[i]));
        }
        try (InputStream signature = new FileInputStream(arguments[0])) {
            SignatureChecker checker = new SignatureChecker(signature, own.getPackages(), logger);
            checker.setAnnotationTypes(Collections.singleton("android.annotation.TargetApi"));
            checker.setSourcePath(Collections.<File>emptyList());
            checker.process(new File(arguments[1]));
            System.exit(checker.isSignatureBroken() ? 1 : 0);
        }
    }
}
