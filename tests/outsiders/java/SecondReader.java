import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.bouncycastle.asn1.ASN1Encoding;
import org.bouncycastle.asn1.ASN1Primitive;

/** Reads each file of a folder as ASN.1 and names those that come out as the same octets when written as DER again. */
public class SecondReader {
    public static void main(String[] arguments) throws Exception {
        try (Stream<Path> files = Files.list(Path.of(arguments[0]))) {
            for (Path file : files.toList()) {
                byte[] octets = Files.readAllBytes(file);
                byte[] again = ASN1Primitive.fromByteArray(octets).getEncoded(ASN1Encoding.DER);
                if (Arrays.equals(octets, again)) {
                    System.out.println(file.getFileName());
                }
            }
        }
    }
}
